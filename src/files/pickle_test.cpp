#include "files/pickle.hpp"

#include <gtest/gtest.h>

#include "files/testing.hpp"

namespace moellava {
namespace {

using test::BadCase;
using test::global;
using test::integer;
using test::le;
using test::raw;
using test::text;

const std::string kProto = raw("\x80\x02");

Pickle parse(const std::string& bytes) {
  ByteReader in(test::bytes_of(bytes), "file: data.pkl");
  return read_pickle(in, "file: data.pkl");
}

int64_t number(const std::string& opcodes) {
  const Pickle pickle = parse(kProto + opcodes + ".");
  EXPECT_EQ(pickle.root.kind, PickleKind::Int);
  return pickle.root.number;
}

TEST(Pickle, Integers) {
  EXPECT_EQ(number("K\xff"), 255);
  EXPECT_EQ(number("M\xff\xff"), 65535);
  EXPECT_EQ(number("J\xff\xff\xff\xff"), -1);
  EXPECT_EQ(number(raw("\x8a\x00")), 0);
  EXPECT_EQ(number(raw("\x8a\x01\x80")), -128);
  EXPECT_EQ(number(raw("\x8a\x02\x80\x00")), 128);
  EXPECT_EQ(number(raw("\x8a\x08") + le<int64_t>(INT64_MIN)), INT64_MIN);
  EXPECT_EQ(number(raw("\x8a\x05\x00\x00\x00\x00\x01")), int64_t{1} << 32);
}

TEST(Pickle, ContainersAndMemo) {
  // {"k": (1, [2, "k"]), "n": None, "f": 1.0, "t": True}, "k" memoised and fetched
  const std::string bytes = kProto + "}q" + raw("\0") + "(" + text("k") + raw("q\1") + "K\1](K\2h\1e\x86" +
                            text("n") + "N" + text("f") + "G" + std::string(8, '\0') + raw("U\1t") + "\x88" +
                            "u.";
  const Pickle pickle = parse(bytes);
  ASSERT_EQ(pickle.root.kind, PickleKind::Dict);
  const auto& entries = pickle.dicts[static_cast<size_t>(pickle.root.number)];
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].key, "k");
  ASSERT_EQ(entries[0].value.kind, PickleKind::Tuple);
  const PickleTuple tuple = pickle.tuples[static_cast<size_t>(entries[0].value.number)];
  ASSERT_EQ(tuple.count, 2u);
  EXPECT_EQ(pickle.item(tuple, 0).number, 1);
  ASSERT_EQ(pickle.item(tuple, 1).kind, PickleKind::List);
  const auto& list = pickle.lists[static_cast<size_t>(pickle.item(tuple, 1).number)];
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(pickle.strings[static_cast<size_t>(list[1].number)], "k");
  EXPECT_EQ(entries[1].value.kind, PickleKind::None);
  EXPECT_EQ(entries[2].value.kind, PickleKind::Float);
  EXPECT_EQ(entries[3].key, "t");
  EXPECT_EQ(entries[3].value.kind, PickleKind::Bool);
}

TEST(Pickle, LeavesTheReaderBehindStop) {
  const std::string bytes = kProto + "N." + kProto + "K\7.rest";
  ByteReader in(test::bytes_of(bytes), "file");
  EXPECT_EQ(read_pickle(in, "file").root.kind, PickleKind::None);
  EXPECT_EQ(read_pickle(in, "file").root.number, 7);
  EXPECT_EQ(as_text(in.rest()), "rest");
}

// Whatever would import or call something is refused with its offset, opcode and global.
TEST(Pickle, RefusesCode) {
  const std::string args = "(" + text("id") + "tR.";
  const std::string code = " is not allowed: this file tries to run code";
  const std::vector<BadCase> cases = {
      {"os.system", kProto + global("os", "system") + args,
       "file: data.pkl offset 2: GLOBAL os.system" + code},
      {"posix.system", kProto + "N0" + global("posix", "system"), "opcode POP is not allowed"},
      {"builtins.eval", kProto + "N" + global("builtins", "eval") + args,
       "offset 3: GLOBAL builtins.eval" + code},
      {"torch.load", kProto + global("torch", "load") + args, "GLOBAL torch.load" + code},
      {"torch.hub.load", kProto + global("torch.hub", "load") + args, "GLOBAL torch.hub.load" + code},
      {"dotted name", kProto + global("collections", "OrderedDict.__class__"),
       "GLOBAL collections.OrderedDict.__class__" + code},
      {"dotted module", kProto + global("torch._utils.torch", "load"),
       "GLOBAL torch._utils.torch.load" + code},
      {"control bytes", kProto + global("o\x1b", "s"), "GLOBAL o\\x1b.s" + code},
      {"STACK_GLOBAL", kProto + text("os") + text("system") + "\x93.", "opcode STACK_GLOBAL" + code},
      {"INST", kProto + "(ios\nsystem\n.", "opcode INST" + code},
      {"OBJ", kProto + "(N" + "o.", "opcode OBJ" + code},
      {"NEWOBJ", kProto + "N)\x81.", "opcode NEWOBJ" + code},
      {"NEWOBJ_EX", kProto + "N)}\x92.", "opcode NEWOBJ_EX" + code},
      {"EXT1", kProto + "\x82\x01.", "opcode EXT1" + code},
      {"EXT2", kProto + "\x83\x01", "opcode EXT2" + code},
      {"EXT4", kProto + "\x84\x01", "opcode EXT4" + code},
      {"PERSID", kProto + "P1\n.", "opcode PERSID" + code},
      {"REDUCE of a string", kProto + text("os") + ")R.", "REDUCE of what is no known global" + code},
      {"REDUCE of a storage class", kProto + global("torch", "FloatStorage") + ")R.",
       "REDUCE of what is no known global" + code},
      {"BUILD of a list", kProto + "]}b.", "BUILD of anything but an OrderedDict" + code},
      {"BUILD with a tuple", kProto + "})b.", "BUILD of anything but an OrderedDict" + code},
      {"sparse tensor", kProto + global("torch._utils", "_rebuild_sparse_tensor"),
       "torch._utils._rebuild_sparse_tensor is not supported"},
      {"quantized tensor", kProto + global("torch._utils", "_rebuild_qtensor"), "is not supported"},
      {"meta tensor", kProto + global("torch._utils", "_rebuild_meta_tensor_no_storage"), "is not supported"},
      {"complex storage", kProto + global("torch", "ComplexFloatStorage"), "is not supported"},
      {"GLOBAL without end", kProto + "cos\nsystem", "GLOBAL has no end of line"},
      {"GLOBAL too long", kProto + "c" + std::string(1000, 'a') + "\nb\n", "GLOBAL has no end of line"},
  };
  test::expect_refused(cases, parse);
}

TEST(Pickle, RefusesBrokenStreams) {
  const std::vector<BadCase> cases = {
      {"empty", "", "truncated"},
      {"no PROTO", "N.", "does not begin with PROTO"},
      {"proto 0", raw("\x80\x00N."), "unsupported pickle protocol: found 0, expected 2"},
      {"proto 1", raw("\x80\x01N."), "found 1"},
      {"proto 5", raw("\x80\x05N."), "found 5"},
      {"proto 255", raw("\x80\xffN."), "found 255"},
      {"PROTO again", kProto + kProto + "N.", "opcode PROTO is not allowed"},
      {"no STOP", kProto + "N", "truncated"},
      {"STOP on an empty stack", kProto + ".", "STOP: stack underflow"},
      {"values left", kProto + "NN.", "STOP with values left on the stack"},
      {"mark left", kProto + "N(.", "stack underflow"},
      {"no opcode", kProto + raw("\xff"), "opcode 0xff is not allowed"},
      {"zero byte", kProto + raw("\0"), "opcode 0x00 is not allowed"},
      {"memo never set", kProto + "h\5.", "offset 2: memo entry was never set: found 5"},
      {"memo never set, long", kProto + "j\xff\xff\xff\xff", "memo entry was never set: found 4294967295"},
      {"memo out of order", kProto + "Nr\xff\xff\xff\x7f", "memo index out of order: found 2147483647"},
      {"memo of nothing", kProto + raw("q\0"), "BINPUT: stack underflow"},
      {"no MARK", kProto + "Nt.", "TUPLE without a MARK"},
      {"TUPLE2 of one", kProto + "N\x86.", "TUPLE2: stack underflow"},
      {"below the mark", kProto + "N(\x85.", "TUPLE1: stack underflow"},
      {"APPEND on a dict", kProto + "}Na.", "APPEND on what is no list"},
      {"APPENDS on a tuple", kProto + ")(Ne.", "APPENDS on what is no list"},
      {"APPEND on nothing", kProto + "Na.", "APPEND: stack underflow"},
      {"SETITEM on a list", kProto + "]" + text("k") + "Ns.", "SETITEM on what is no dict"},
      {"SETITEM on a tensor-like global", kProto + global("torch", "Size") + text("k") + "Ns.",
       "SETITEM on what is no dict"},
      {"SETITEMS without a value", kProto + "}(" + text("k") + "u.", "SETITEMS has a key without a value"},
      {"key is a number", kProto + "}K\1Ns.", "dict key is not a string"},
      {"LONG1 of 255 bytes", kProto + "\x8a\xff" + std::string(255, 'x'),
       "integer is too large: found 255 bytes"},
      {"LONG4 of 2 GiB", kProto + "\x8b\xff\xff\xff\x7f", "opcode LONG4 is not allowed"},
      {"BINUNICODE8", kProto + "\x8d" + le<uint64_t>(1ull << 63), "opcode BINUNICODE8 is not allowed"},
      {"FRAME", kProto + "\x95" + le<uint64_t>(100), "opcode FRAME is not allowed"},
      {"DUP", kProto + "N2.", "opcode DUP is not allowed"},
      {"nested pickle in bytes", kProto + "C\3abc.", "opcode SHORT_BINBYTES is not allowed"},
      {"string over 64 KiB", kProto + "X" + le<uint32_t>(65537) + std::string(65537, 'a'),
       "string is too long"},
      {"string of 4 GiB", kProto + "X\xff\xff\xff\xff", "string is too long: found 4294967295 bytes"},
      {"string cut", kProto + "X" + le<uint32_t>(100) + "abc", "truncated: found 3 bytes"},
      {"2 M marks", kProto + std::string(2'000'000, '('), "nested too deeply"},
      {"a million values", kProto + std::string(1'000'001, 'N'), "stack is too deep"},
      {"5 M values",
       kProto + "](" +
           [] {
             std::string lists;
             for (int i = 0; i < 100; ++i) lists += "](" + std::string(50'000, 'N') + "e";
             return lists;
           }(),
       "too many values"},
  };
  test::expect_refused(cases, parse);
}

TEST(Pickle, RefusesBadCalls) {
  const std::string storage = test::storage("FloatStorage", "0", 1);
  const auto rebuild = [](const std::string& arguments) {
    return kProto + global("torch._utils", "_rebuild_tensor_v2") + arguments + "R.";
  };
  const std::vector<BadCase> cases = {
      {"arguments are a list", rebuild("]"), "REDUCE without a tuple of arguments"},
      {"no arguments", rebuild(")"), "_rebuild_tensor_v2 with arguments of the wrong types"},
      {"no storage", rebuild("(NK\1))\x89}t"), "wrong types"},
      {"offset is None", rebuild("(" + storage + "N))\x89}t"), "wrong types"},
      {"shape of strings", rebuild("(" + storage + "K\1" + text("1") + "\x85)\x89}t"), "wrong types"},
      {"70 dims", rebuild("(" + storage + "K\1" + test::tuple(std::vector<int64_t>(70, 1)) + ")\x89}t"),
       "too many dimensions"},
      {"OrderedDict of pairs", kProto + global("collections", "OrderedDict") + "]\x85R.",
       "OrderedDict with arguments is not supported"},
      {"Size of a list", kProto + global("torch", "Size") + "]\x85R.", "torch.Size of what is no tuple"},
      {"parameter of None", kProto + global("torch._utils", "_rebuild_parameter") + "(N\x88}tR.",
       "_rebuild_parameter of what is no tensor"},
      {"persistent id is text", kProto + text("0") + "Q.", "persistent id is not a tuple"},
      {"persistent id of another kind", kProto + "(" + text("module") + "NNNNtQ.",
       "persistent id is not a storage"},
      {"storage class is a function",
       kProto + "(" + text("storage") + global("torch", "Size") + text("0") + text("cpu") + integer(1) +
           "tQ.",
       "persistent id is not a storage"},
      {"view of a storage",
       kProto + "(" + text("storage") + global("torch", "FloatStorage") + text("0") + text("cpu") +
           integer(1) + "(" + text("1") + "K\1K\1ttQ.",
       "views of storages are not read"},
      {"one key, two types",
       kProto + "(" + test::storage("FloatStorage", "0", 1) + test::storage("IntStorage", "0", 1) + "t.",
       "storage \"0\" has two types or sizes"},
      {"one key, two sizes",
       kProto + "(" + test::storage("FloatStorage", "0", 1) + test::storage("FloatStorage", "0", 2) + "t.",
       "storage \"0\" has two types or sizes"},
  };
  test::expect_refused(cases, parse);
}

}  // namespace
}  // namespace moellava
