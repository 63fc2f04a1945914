// open_checkpoint_folder: one file, or numbered shards joined by an index.
#include <set>
#include <unordered_map>

#include "base/error.hpp"
#include "base/file_io.hpp"
#include "base/json.hpp"
#include "files/naming.hpp"
#include "files/tensor_file.hpp"

namespace moellava {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kIndexBytes = 64ull << 20;

// weight_map of an index: tensor -> shard.
std::map<std::string, std::string> read_weight_map(const JsonObject& index) {
  const JsonObject map = index.object("weight_map");
  std::map<std::string, std::string> shard_of;
  for (const auto& [tensor, shard] : map.raw().items()) {
    if (!shard.is_string()) {
      throw bad_data(map.where() + ": tensor " + in_quotes(tensor), "shard is not a string");
    }
    shard_of[tensor] = shard.get<std::string>();
  }
  if (shard_of.empty()) throw bad_data(map.where(), "names no tensor");
  return shard_of;
}

// Joins the shards and checks each tensor against the index.
class ShardJoiner {
 public:
  ShardJoiner(const fs::path& index_path, const std::map<std::string, std::string>& shard_of)
      : index_(index_path.string()), shard_of_(shard_of) {}

  void add(const std::string& shard, TensorFile file) {
    for (TensorView& tensor : file.tensors) {
      require_listed(tensor.name, shard);
      found_in_[tensor.name] = shard;
      joined_.tensors.push_back(std::move(tensor));
    }
    joined_.metadata.merge(file.metadata);
    storages_->push_back(std::move(file.storage));
  }

  TensorFile finish(const std::string& folder) {
    for (const auto& [tensor, shard] : shard_of_) {
      if (!found_in_.contains(tensor))
        throw bad_data(tensor_at(index_, tensor), "not in its shard", {.found = in_quotes(shard)});
    }
    joined_.path = folder;
    joined_.storage = storages_;
    return std::move(joined_);
  }

 private:
  void require_listed(const std::string& tensor, const std::string& shard) const {
    if (const auto found = found_in_.find(tensor); found != found_in_.end()) {
      throw bad_data(tensor_at(index_, tensor), "in two shards",
                     {.found = in_quotes(found->second) + " and " + in_quotes(shard)});
    }
    const auto listed = shard_of_.find(tensor);
    if (listed == shard_of_.end()) {
      throw bad_data(tensor_at(index_, tensor), "not listed in the index",
                     {.found = "shard " + in_quotes(shard)});
    }
    if (listed->second != shard) {
      throw bad_data(tensor_at(index_, tensor), "in the wrong shard",
                     {.found = in_quotes(shard), .expected = in_quotes(listed->second)});
    }
  }

  std::string index_;
  const std::map<std::string, std::string>& shard_of_;
  std::unordered_map<std::string, std::string> found_in_;
  TensorFile joined_;
  std::shared_ptr<std::vector<std::shared_ptr<const void>>> storages_ =
      std::make_shared<std::vector<std::shared_ptr<const void>>>();
};

// Writers differ in whether tied tensors, which share their bytes, count once or each time; both are right.
void check_total_size(const TensorFile& file, const JsonObject& index) {
  if (!index.has("metadata") || !index.object("metadata").has("total_size")) return;
  const JsonObject metadata = index.object("metadata");
  const auto total = static_cast<uint64_t>(metadata.integer("total_size", 0, INT64_MAX));
  uint64_t each = 0;
  uint64_t once = 0;
  std::set<const std::byte*> seen;
  for (const TensorView& tensor : file.tensors) {
    each += tensor.data.size();
    if (seen.insert(tensor.data.data()).second) once += tensor.data.size();
  }
  if (total < once || total > each) {
    throw bad_data(metadata.where() + ": total_size", "differs from the shards",
                   {.found = std::to_string(total) + " bytes",
                    .expected = std::to_string(each),
                    .hint = "the index belongs to other shards"});
  }
}

TensorFile open_sharded(const fs::path& folder, const fs::path& index_path) {
  const Json json = read_json(index_path, {.bytes = kIndexBytes});
  const JsonObject index(json, index_path.string());
  const auto shard_of = read_weight_map(index);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.insert(shard);
  for (const std::string& shard : shards) {
    require_plain_file_name(shard, index_path.string() + ": weight_map");
    if (!fs::is_regular_file(folder / shard)) {
      throw bad_data(index_path.string(), "shard is missing",
                     {.found = "no file " + in_quotes(shard), .expected = "it beside the index"});
    }
  }
  ShardJoiner joiner(index_path, shard_of);
  for (const std::string& shard : shards) joiner.add(shard, open_tensor_file(folder / shard));
  TensorFile file = joiner.finish(folder.string());
  check_total_size(file, index);
  return file;
}

}  // namespace

TensorFile open_checkpoint_folder(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw bad_data(folder.string(), fs::exists(folder) ? "not a folder" : "no such folder",
                   {.expected = "the folder of a checkpoint"});
  }
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    if (fs::exists(folder / name)) return open_tensor_file(folder / name);
    const fs::path index = folder / (std::string(name) + ".index.json");
    if (fs::exists(index)) return open_sharded(folder, index);
  }
  throw bad_data(folder.string(), "no weights in this folder",
                 {.expected = "model.safetensors, model.safetensors.index.json, pytorch_model.bin or "
                              "pytorch_model.bin.index.json"});
}

}  // namespace moellava
