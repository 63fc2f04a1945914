// A folder that is there as a whole or not at all.
#pragma once

#include <filesystem>
#include <functional>

namespace moellava {

// `write` fills FOLDER.partial, which then becomes `folder`; what an earlier try left there goes first.
// Throws Io when `folder` is there already, or cannot be made.
void write_whole_folder(const std::filesystem::path& folder,
                        const std::function<void(const std::filesystem::path& partial)>& write);

}  // namespace moellava
