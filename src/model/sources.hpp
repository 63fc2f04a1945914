// What the files of a model say before it is built: its config, its tensors, and which parameter comes from
// where.
#pragma once

#include <filesystem>
#include <vector>

#include "model/adapter_folder.hpp"
#include "model/load.hpp"
#include "model/tower_files.hpp"
#include "model/weights.hpp"

namespace moellava {

struct Sources {
  ModelConfig config;
  TensorFile tensors;
  std::optional<TowerFiles> tower;      // when its weights come from files of their own
  std::optional<TensorFile> projector;  // likewise, under canonical names
  std::optional<AdapterFolder> adapter;
  bool had_sight = false;  // before a tower was added
  bool upcycling = false;
  // Canonical name -> tensor of `tensors`; and from a tensor's name to that of its part of the model.
  std::function<WeightRef(const std::string&)> locate;
  std::function<std::string(const std::string&)> canonical;
  // The same for adapter->whole.
  std::function<WeightRef(const std::string&)> locate_whole;
  std::function<std::string(const std::string&)> canonical_whole;
  std::function<std::unique_ptr<Tokenizer>()> open_tokenizer;

  // Not in any file: the projector of a model that gains sight, the routers of one that gains experts.
  bool is_new(const std::string& parameter) const;
  // In files of its own, whatever `tensors` holds. An adapter's whole parameters are some of these, and so is
  // what the adapter's model has and its base has not.
  bool is_elsewhere(const std::string& parameter) const;
  bool is_whole_in_adapter(const std::string& parameter) const;

 private:
  bool lacks(const std::string& parameter) const;  // what stands in no file of the base
};

// A file with the parameters that are to come from it. The references live as long as `sources`.
struct SourceJoin {
  const TensorFile* file;
  WeightJoin join;
};

bool is_gguf(const std::filesystem::path& path);
Sources open_sources(const std::filesystem::path& path, const LoadOptions& options);
std::vector<SourceJoin> joins_of(const Sources& sources);

}  // namespace moellava
