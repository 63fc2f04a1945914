// Names out of untrusted files, resolved so that none leaves the folder it belongs to.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace moellava {

// The regular file `name` below `folder`, links resolved. Throws BadData naming `where` when the name is
// absolute or holds "..", when there is no such file, when a link leads out of the folder, or when it is no
// regular file; Io when there is no such folder.
std::filesystem::path path_below(const std::filesystem::path& folder, const std::string& name,
                                 std::string_view where);

}  // namespace moellava
