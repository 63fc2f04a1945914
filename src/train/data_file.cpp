#include "train/data_file.hpp"

#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <vector>

#include "base/bulk_hash.hpp"

namespace moellava {

namespace {

// The kernel maps this much around an address that is touched.
constexpr size_t kFaultAround = 64 << 10;
constexpr size_t kHashed = 4 << 20;

}  // namespace

std::string_view DataFile::text() const {
  const std::span<const std::byte> bytes = file_->bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void DataFile::release(size_t begin, size_t end) const {
  const std::span<const std::byte> bytes = file_->bytes();
  begin = begin / kFaultAround * kFaultAround;
  end = std::min((end + kFaultAround - 1) / kFaultAround * kFaultAround, bytes.size());
  // Only advice: where it fails, more memory is used.
  if (begin < end) ::madvise(const_cast<std::byte*>(bytes.data()) + begin, end - begin, MADV_DONTNEED);
}

uint64_t DataFile::hash() const {
  const std::span<const std::byte> bytes = file_->bytes();
  std::vector<uint64_t> parts((bytes.size() + kHashed - 1) / kHashed);
  at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t first, int64_t last) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
      const size_t begin = i * kHashed;
      parts[i] = bulk_hash(bytes.subspan(begin, std::min(kHashed, bytes.size() - begin)));
      release(begin, begin + kHashed);
    }
  });
  return bulk_hash(std::as_bytes(std::span(parts)), bytes.size());
}

}  // namespace moellava
