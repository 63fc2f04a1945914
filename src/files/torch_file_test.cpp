#include "files/torch_file.hpp"

#include <gtest/gtest.h>

#include "base/file_io.hpp"
#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;
using test::dict_pickle;
using test::le;
using test::raw;
using test::storage;
using test::tensor;
using test::text;
using test::torch_legacy;
using test::torch_zip;
using test::ZipBuilder;

// 0, 1, 2, ... as float32
std::string floats(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += le(static_cast<float>(i));
  return bytes;
}

std::vector<float> values(const TensorFile& file, const std::string& name) {
  const TensorView* view = file.find(name);
  if (view == nullptr) return {};
  std::vector<float> out(view->numel());
  to_float32(*view, out);
  return out;
}

TensorFile parse(const std::string& bytes) {
  return parse_torch_file(test::bytes_of(bytes), "file");
}

const std::string kSix = storage("FloatStorage", "0", 6, "cuda:7");

// Items of a state dict: whole, transposed, sliced, scalar, empty, nested, a Parameter, and what is no
// tensor.
const std::string kItems =
    text("whole") + tensor(kSix, 0, {2, 3}, {3, 1}) +       //
    text("transposed") + tensor(kSix, 0, {3, 2}, {1, 3}) +  //
    text("column") + tensor(kSix, 1, {2}, {3}) +            //
    text("tail") + tensor(kSix, 4, {2}, {1}) +              //
    text("one") + tensor(kSix, 5, {}, {}) +                 //
    text("ones") + tensor(kSix, 5, {1, 1}, {7, 0}) +        //
    text("empty") + tensor(kSix, 6, {0, 3}, {3, 1}) +       //
    text("nested") + "}(" + text("deep") + "}" + text("t") + tensor(kSix, 0, {1}, {1}) + "s" + text("epoch") +
    "K\3u" + text("parameter") + test::global("torch._utils", "_rebuild_parameter") + "(" +
    tensor(kSix, 2, {1}, {1}) + "\x88}tR" + text("lr") + "G" + std::string(8, '\0') + text("list") + "]";

void expect_items(const TensorFile& file) {
  EXPECT_EQ(file.tensors.size(), 9u);
  EXPECT_EQ(values(file, "whole"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values(file, "transposed"), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(file.find("transposed")->shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(values(file, "column"), (std::vector<float>{1, 4}));
  EXPECT_EQ(values(file, "tail"), (std::vector<float>{4, 5}));
  EXPECT_EQ(values(file, "one"), (std::vector<float>{5}));
  EXPECT_EQ(values(file, "ones"), (std::vector<float>{5}));
  EXPECT_EQ(file.find("empty")->numel(), 0u);
  EXPECT_EQ(values(file, "nested.deep.t"), (std::vector<float>{0}));
  EXPECT_EQ(values(file, "parameter"), (std::vector<float>{2}));
}

TEST(TorchFile, ZipFormat) {
  expect_items(parse(torch_zip(dict_pickle(kItems), {{"0", floats(6)}})));
}

TEST(TorchFile, LegacyFormat) {
  expect_items(parse(torch_legacy(dict_pickle(kItems), {{"0", le<int64_t>(6) + floats(6)}})));
}

TEST(TorchFile, CopiesOutliveTheFileObject) {
  const test::TempFolder folder;
  write_file_atomic(folder / "m.bin", torch_zip(dict_pickle(kItems), {{"0", floats(6)}}));
  TensorFile file = open_torch_file(folder / "m.bin");
  expect_items(file);
  const TensorFile copy = std::move(file);
  expect_items(copy);
}

// A module's state dict: an OrderedDict with a `_metadata` attribute.
TEST(TorchFile, IgnoresTheMetadataAttribute) {
  const std::string ordered = test::global("collections", "OrderedDict") + ")R";
  const std::string pickle = raw("\x80\x02") + ordered + "(" + text("w") + tensor(kSix, 0, {6}, {1}) + "u" +
                             "}(" + text("_metadata") + ordered + "(" + text("") + "}" + text("version") +
                             "K\1s" + "uub.";
  const std::string bytes = torch_zip(pickle, {{"0", floats(6)}});
  const TensorFile file = parse(bytes);
  ASSERT_EQ(file.tensors.size(), 1u);
  EXPECT_EQ(values(file, "w").size(), 6u);
}

TEST(TorchFile, EveryStorageClass) {
  struct Row {
    const char* storage;
    DType dtype;
    std::string bytes;  // of the value 1
  };
  const Row rows[] = {{"FloatStorage", DType::F32, le(1.0f)},
                      {"DoubleStorage", DType::F64, le(1.0)},
                      {"HalfStorage", DType::F16, le<uint16_t>(0x3c00)},
                      {"BFloat16Storage", DType::BF16, le<uint16_t>(0x3f80)},
                      {"LongStorage", DType::I64, le<int64_t>(1)},
                      {"IntStorage", DType::I32, le<int32_t>(1)},
                      {"ShortStorage", DType::I16, le<int16_t>(1)},
                      {"CharStorage", DType::I8, "\1"},
                      {"ByteStorage", DType::U8, "\1"},
                      {"BoolStorage", DType::Bool, "\1"}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.storage);
    const std::string pickle = dict_pickle(text("t") + tensor(storage(row.storage, "0", 1), 0, {1}, {1}));
    const std::string bytes = torch_zip(pickle, {{"0", row.bytes}});
    const TensorFile file = parse(bytes);
    ASSERT_EQ(file.tensors.size(), 1u);
    EXPECT_EQ(file.tensors[0].dtype, row.dtype);
    EXPECT_EQ(values(file, "t"), (std::vector<float>{1}));
  }
}

TEST(TorchFile, RefusesBadTensors) {
  const auto one = [](const std::string& value) {
    return torch_zip(dict_pickle(text("w") + value), {{"0", floats(6)}});
  };
  const auto huge = [](int64_t numel) { return storage("FloatStorage", "0", numel); };
  const std::vector<BadCase> cases = {
      {"storage of 2^40", one(tensor(huge(int64_t{1} << 40), 0, {1}, {1})),
       "tensor \"w\": storage \"0\" has another size: found 24 bytes, expected 1099511627776 values of F32"},
      {"storage of -1", one(tensor(huge(-1), 0, {1}, {1})), "storage \"0\" has another size"},
      {"storage one too long", one(tensor(huge(7), 0, {1}, {1})), "storage \"0\" has another size"},
      {"storage one too short", one(tensor(huge(5), 0, {1}, {1})), "storage \"0\" has another size"},
      {"another dtype", one(tensor(storage("DoubleStorage", "0", 6), 0, {1}, {1})), "has another size"},
      {"storage missing", one(tensor(storage("FloatStorage", "1", 6), 0, {1}, {1})),
       "tensor \"w\": storage \"1\" is missing"},
      {"storage key upwards", one(tensor(storage("FloatStorage", "../version", 1), 0, {1}, {1})),
       "is missing"},
      {"negative offset", one(tensor(kSix, -1, {1}, {1})), "tensor \"w\": negative offset, size or stride"},
      {"negative size", one(tensor(kSix, 0, {-1}, {1})), "negative offset, size or stride"},
      {"negative stride", one(tensor(kSix, 5, {2}, {-1})), "negative offset, size or stride"},
      {"too long", one(tensor(kSix, 0, {7}, {1})),
       "tensor \"w\": runs past the end of its storage: found 7 values, expected at most 6"},
      {"offset too far", one(tensor(kSix, 6, {1}, {1})), "runs past the end of its storage"},
      {"stride too far", one(tensor(kSix, 0, {2, 2}, {5, 2})), "runs past the end of its storage"},
      {"stride wraps", one(tensor(kSix, 0, {3}, {INT64_MAX})), "runs past the end of its storage"},
      {"sum of strides wraps", one(tensor(kSix, 0, {2, 2, 2}, {INT64_MAX, INT64_MAX, 2})),
       "found more than 2^64 values"},
      {"offset wraps", one(tensor(kSix, INT64_MAX, {2}, {INT64_MAX})), "runs past the end of its storage"},
      {"shape wraps", one(tensor(kSix, 0, {int64_t{1} << 40, int64_t{1} << 40}, {0, 0})),
       "shape is too large"},
      {"expanded", one(tensor(kSix, 0, {int64_t{1} << 40}, {0})),
       "tensor \"w\": expanded or overlapping strides"},
      {"overlapping", one(tensor(kSix, 0, {2, 3}, {1, 1})), "expanded or overlapping strides"},
      {"ranks differ", one(tensor(kSix, 0, {2, 3}, {1})), "shape and stride differ in length"},
      {"name twice", one(tensor(kSix, 0, {1}, {1}) + text("w") + tensor(kSix, 1, {1}, {1})),
       "tensor \"w\": named twice"},
      {"joined name twice",
       torch_zip(dict_pickle(text("a") + "}" + text("b") + tensor(kSix, 0, {1}, {1}) + "s" + text("a.b") +
                             tensor(kSix, 0, {1}, {1})),
                 {{"0", floats(6)}}),
       "tensor \"a.b\": named twice"},
      {"tensor alone", torch_zip(raw("\x80\x02") + tensor(kSix, 0, {1}, {1}) + ".", {{"0", floats(6)}}),
       "holds no state dict"},
      {"code inside", one(test::global("os", "system") + "(" + text("id") + "tR"),
       "file: data.pkl offset 10: GLOBAL os.system is not allowed: this file tries to run code"},
  };
  test::expect_refused(cases, parse);
}

TEST(TorchFile, RefusesDictsWithoutEnd) {
  const std::string recursive = raw("\x80\x02}q\0") + text("self") + raw("h\0s.");
  // {"a": d1, "b": d1} with d1 = {"a": d2, "b": d2} and so on: 2^40 leaves in a few hundred bytes
  std::string laughs = "}" + raw("q\0");
  for (char i = 0; i < 40; ++i)
    laughs.insert(0, "}(" + text("a")).append(text("b") + "h" + i + "uq" + static_cast<char>(i + 1));
  std::string deep = raw("\x80\x02");
  for (int i = 0; i < 100; ++i) deep += "}" + text("k");
  deep += "N" + std::string(100, 's') + ".";
  const std::vector<BadCase> cases = {
      {"dict in itself", torch_zip(recursive), "dict \"self.\" stands in two places"},
      {"shared dicts",
       torch_zip(raw("\x80\x02}") + text("x") + "}q" + raw("\0") + "s" + text("y") + raw("h\0s.")),
       "dict \"y.\" stands in two places"},
      {"billion laughs", torch_zip(raw("\x80\x02") + laughs + "."), "stands in two places"},
      {"100 levels", torch_zip(deep), "dicts nested too deeply"},
      {"long name", torch_zip(dict_pickle(text(std::string(1025, 'n')) + "}")), "name is too long"},
  };
  test::expect_refused(cases, parse);
}

TEST(TorchFile, RefusesBadZips) {
  const std::string pickle = dict_pickle("");
  const auto zip = [&](const std::string& version, const std::string& byteorder) {
    return ZipBuilder()
        .add("m/data.pkl", pickle)
        .add("m/byteorder", byteorder)
        .add("m/version", version)
        .finish();
  };
  std::string damaged = torch_zip(dict_pickle(text("w") + tensor(kSix, 0, {6}, {1})), {{"0", floats(6)}});
  damaged[damaged.find(floats(6)) + 5] ^= 1;
  EXPECT_TRUE(parse(zip("3\n", "little")).tensors.empty());
  const std::vector<BadCase> cases = {
      {"big-endian", zip("3\n", "big"), "unsupported byte order: found \"big\", expected \"little\""},
      {"version 99", zip("99\n", "little"), "unsupported format version: found \"99\""},
      {"version is text", zip("x\n", "little"), "unsupported format version"},
      {"version is empty", zip("", "little"), "unsupported format version"},
      {"no version", ZipBuilder().add("m/data.pkl", pickle).finish(), "version entry is missing"},
      {"no data.pkl", ZipBuilder().add("m/version", "3\n").finish(), "found no data.pkl"},
      {"two folders", ZipBuilder().add("m/data.pkl", pickle).add("n/version", "3\n").finish(),
       "found entry \"n/version\", expected all entries in one folder"},
      {"no folder", ZipBuilder().add("data.pkl", pickle).add("version", "3\n").finish(),
       "found entry \"data.pkl\", expected all entries in one folder"},
      {"TorchScript",
       ZipBuilder().add("m/data.pkl", pickle).add("m/code/a.py", "").add("m/version", "3\n").finish(),
       "TorchScript archive"},
      {"TorchScript constants",
       ZipBuilder().add("m/data.pkl", pickle).add("m/constants.pkl", "").add("m/version", "3\n").finish(),
       "TorchScript archive"},
      {"bytes behind STOP", torch_zip(pickle + "x"), "data.pkl: bytes behind STOP: found 1"},
      {"damaged storage", damaged, "entry \"m/data/0\": CRC is wrong"},
      {"LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
      {"HTML", "<html>", "HTML page"},
      {"plain pickle", raw("\x80\x02N."), "wrong file format"},
  };
  test::expect_refused(cases, parse);
}

TEST(TorchFile, RefusesBadLegacyFiles) {
  const std::string pickle = dict_pickle(text("w") + tensor(kSix, 0, {6}, {1}));
  const std::string data = le<int64_t>(6) + floats(6);
  const std::string whole = torch_legacy(pickle, {{"0", data}});
  EXPECT_EQ(values(parse(whole), "w").size(), 6u);
  std::string other_protocol = whole;
  other_protocol[18] = '\x03';
  const std::vector<BadCase> cases = {
      {"other protocol", other_protocol, "unsupported legacy protocol"},
      {"storage missing", torch_legacy(pickle), "tensor \"w\": storage \"0\" is missing"},
      {"storage twice", torch_legacy(pickle, {{"0", data}, {"0", data}}), "storage \"0\" is listed twice"},
      {"storage of nobody", torch_legacy(pickle, {{"0", data}, {"1", data}}),
       "storage \"1\" is listed twice or belongs"},
      {"storage of another size", torch_legacy(pickle, {{"0", le<int64_t>(5) + floats(5)}}),
       "storage \"0\" has another size"},
      {"storage of 2^62", torch_legacy(pickle, {{"0", le<int64_t>(int64_t{1} << 62)}}),
       "storage \"0\" is too large"},
      {"bytes behind", whole + "x", "bytes behind the last storage: found 1"},
  };
  test::expect_refused(cases, parse);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(parse(whole.substr(0, size)), Error) << size;
}

// Views of one storage may be many, copies may not: they would take more memory than the file.
TEST(TorchFile, BoundsCopies) {
  std::string items;
  for (int i = 0; i < 200; ++i) items += text("t" + std::to_string(i)) + "h" + raw("\0");
  const std::string shared =
      raw("\x80\x02}(") + text("t") + tensor(kSix, 0, {3, 2}, {1, 3}) + raw("q\0") + items + "u.";
  test::expect_refused(
      {{"many copies", torch_zip(shared, {{"0", floats(6)}}), "share one storage too often"}}, parse);
}

}  // namespace
}  // namespace moellava
