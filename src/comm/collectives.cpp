#include "comm/collectives.hpp"

namespace moellava {

std::string broadcast_text(Communicator& comm, std::string text) {
  size_t length = text.size();
  comm.broadcast(std::as_writable_bytes(std::span(&length, 1)), 0);
  text.resize(length);
  comm.broadcast(std::as_writable_bytes(std::span(text.data(), text.size())), 0);
  return text;
}

}  // namespace moellava
