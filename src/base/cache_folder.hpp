// Where things are kept that can be made again at any time.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace moellava {

// $XDG_CACHE_HOME/moe-llava/NAME, or ~/.cache/moe-llava/NAME; nothing is created. Throws Usage when neither
// variable tells.
std::filesystem::path cache_folder(const std::string& name);

// Calls `write` with a name beside `path` that nobody else uses, then renames it to `path`: readers see a
// whole file, and of several writers the last one wins. Throws what `write` throws, and Io.
void publish_file(const std::filesystem::path& path,
                  const std::function<void(const std::filesystem::path& temporary)>& write);

}  // namespace moellava
