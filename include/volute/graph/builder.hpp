// A graph under construction, in constexpr code: a flat array of nodes with integer operands. Equal nodes are one node from the beginning
// (value numbering by hashing), so that no later pass has to look for them. Operands always have smaller numbers than their users.
#pragma once

#include <volute/core/buffer.hpp>
#include <volute/ops/list.hpp>

#include <cstdint>
#include <utility>

namespace volute::graph {

/// One primitive applied to operands: five integers; attributes and shapes are interned. None without being said: see buffer.
struct node {
  int op;         // ops::opcode
  int attribute;  // index of its attributes
  int shape;      // index of the result's shape
  int first;      // operands: count entries of the operand array, from first
  int count;
};

/// Nodes, operands, and the interned shapes and attributes; make() gives an equal node where there is one.
class builder {
 public:
  buffer<node> nodes;
  buffer<int> operands;
  buffer<extents> shapes;
  buffer<ops::attributes> attributes;

  constexpr builder() : node_table_(256, 0) {
    for (unsigned i = 0; i < buckets; ++i) shape_bucket_[i] = attribute_bucket_[i] = -1;
  }

  constexpr void swap(builder& other) {
    nodes.swap(other.nodes), operands.swap(other.operands), shapes.swap(other.shapes), attributes.swap(other.attributes);
    node_table_.swap(other.node_table_), hashes_.swap(other.hashes_);
    shape_next_.swap(other.shape_next_), attribute_next_.swap(other.attribute_next_);
    std::swap(has_empty_, other.has_empty_);
    std::swap(shape_bucket_, other.shape_bucket_), std::swap(attribute_bucket_, other.attribute_bucket_);
  }

  /// No elements.
  constexpr bool is_empty(int id) const { return has_empty_ && shapes.data[nodes.data[id].shape].size() == 0; }
  constexpr const extents& shape(int id) const { return shapes.data[nodes.data[id].shape]; }
  constexpr int operand(int id, int i) const { return operands.data[nodes.data[id].first + i]; }
  template <class Op>
  constexpr bool is(int id) const {
    return nodes.data[id].op == ops::opcode<Op>;
  }
  /// The attributes of a node that is an Op.
  template <class Op>
  constexpr Op as(int id) const {
    return ops::decode<Op>(attributes.data[nodes.data[id].attribute]);
  }

  /// The node `op` over these operands; an equal one if it exists.
  template <class Op>
  constexpr int make(const Op& op, const extents& result, const int* args, int count) {
    return make(ops::opcode<Op>, intern(ops::encode(op)), intern(result), args, count);
  }

  constexpr int make(int op, int attribute, int result, const int* args, int count) {
    if (has_empty_ && count > 0 && shapes.data[result].size() == 0)  // no elements: whatever it is made of, it is a constant
      return make(ops::opcode<ops::fill>, intern(ops::encode(ops::fill{0})), result, nullptr, 0);
    unsigned h = static_cast<unsigned>(op) * 31u + static_cast<unsigned>(attribute);
    h = h * 0x9E3779B1u + static_cast<unsigned>(result);
    for (int i = 0; i < count; ++i) h = (h ^ static_cast<unsigned>(args[i])) * 0x85EBCA6Bu + (h >> 15);
    if (2 * (nodes.size + 1) > node_table_.size) rehash();
    const unsigned mask = static_cast<unsigned>(node_table_.size) - 1u;
    unsigned at = (h ^ (h >> 16)) & mask;
    while (node_table_.data[at] != 0) {
      const int id = node_table_.data[at] - 1;
      const node& n = nodes.data[id];
      if (hashes_.data[id] == h && n.op == op && n.attribute == attribute && n.shape == result && n.count == count) {
        int i = 0;
        while (i < count && operands.data[n.first + i] == args[i]) ++i;
        if (i == count) return id;
      }
      at = (at + 1) & mask;
    }
    const int id = nodes.size;
    node_table_.data[at] = id + 1;
    nodes.push_back({op, attribute, result, operands.size, count});
    hashes_.push_back(h);
    for (int i = 0; i < count; ++i) operands.push_back(args[i]);
    return id;
  }

  constexpr int intern(const extents& e) {
    unsigned h = static_cast<unsigned>(e.rank);
    for (int i = 0; i < e.rank; ++i) h = h * 31u + static_cast<unsigned>(e.dim[i]);
    const unsigned b = (h ^ (h >> 7)) % buckets;
    for (int i = shape_bucket_[b]; i >= 0; i = shape_next_.data[i])
      if (shapes.data[i] == e) return i;
    shapes.push_back(e);
    has_empty_ = has_empty_ || e.size() == 0;
    shape_next_.push_back(shape_bucket_[b]);
    return shape_bucket_[b] = shapes.size - 1;
  }

  constexpr int intern(const ops::attributes& a) {
    unsigned h = static_cast<unsigned>(a.words);
    for (int i = 0; i < a.words; ++i) h = h * 31u + static_cast<unsigned>(a.word[i] ^ (a.word[i] >> 32));
    const unsigned b = (h ^ (h >> 7)) % buckets;
    for (int i = attribute_bucket_[b]; i >= 0; i = attribute_next_.data[i]) {
      const ops::attributes& other = attributes.data[i];
      if (other.words != a.words) continue;
      int k = 0;
      while (k < a.words && other.word[k] == a.word[k]) ++k;
      if (k == a.words) return i;
    }
    attributes.push_back(a);
    attribute_next_.push_back(attribute_bucket_[b]);
    return attribute_bucket_[b] = attributes.size - 1;
  }

 private:
  static constexpr unsigned buckets = 256;
  buffer<int> node_table_;  // open addressing, node + 1, 0 is empty
  buffer<unsigned> hashes_;
  bool has_empty_ = false;  // some shape has an extent of 0
  int shape_bucket_[buckets]{}, attribute_bucket_[buckets]{};
  buffer<int> shape_next_, attribute_next_;

  constexpr void rehash() {
    const int wider = 4 * node_table_.size;
    delete[] node_table_.data;
    node_table_.data = new int[static_cast<std::size_t>(wider)]{};
    node_table_.size = node_table_.capacity = wider;
    const unsigned mask = static_cast<unsigned>(wider) - 1u;
    for (int id = 0; id < nodes.size; ++id) {
      const unsigned h = hashes_.data[id];
      unsigned at = (h ^ (h >> 16)) & mask;
      while (node_table_.data[at] != 0) at = (at + 1) & mask;
      node_table_.data[at] = id + 1;
    }
  }
};

}  // namespace volute::graph
