// What makes a checkpoint's folder whole: manifest.json with size and CRC-32C of every file, and COMPLETE
// with the manifest's own sum.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace moellava {

// Writes both for the files that stand in `folder`, COMPLETE last. Throws Io.
void seal_checkpoint(const std::filesystem::path& folder);

// Reads every file. Throws BadData naming the first that is missing, damaged or, of `needed`, not listed.
void verify_checkpoint(const std::filesystem::path& folder, const std::vector<std::string>& needed);

// Removes the folder; COMPLETE goes first, so that what is half removed does not look whole.
void remove_checkpoint(const std::filesystem::path& folder);

}  // namespace moellava
