//! The consistent-hash ring: which node owns a shard, and who takes over when it is gone.
//!
//! Each node stands at [`POINTS`] places of a 64-bit circle (Karger et al., 1997); a shard belongs
//! to the first node at or after its own place. A node that joins takes about 1/(N+1) of the
//! shards, all others stay where they are. As shards are few, chance alone would give one node twice
//! the shards of another: no node gets more than [`LOAD_MAX`] times its share (Mirrokni et al.,
//! "Consistent Hashing with Bounded Loads", 2018), what is beyond goes on to the next one.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::id::{NodeId, ShardId};

/// Places per node. More are more even and cost memory: 128 keep the largest share within about
/// a quarter of the mean.
const POINTS: u32 = 128;

/// The most that a node owns, as a multiple of the mean.
const LOAD_MAX: f64 = 1.25;

/// An immutable ring of nodes.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    nodes: Vec<NodeId>,
    points: BTreeMap<u64, usize>,
}

impl Ring {
    /// A ring of these nodes, in any order.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        nodes.sort();
        nodes.dedup();
        let mut points = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for point in 0..POINTS {
                points.insert(place(&[node.as_str().as_bytes(), &point.to_le_bytes()]), index);
            }
        }
        Self { nodes, points }
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes, sorted.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// The owner of each of `shards` shards. Tables of equal shard counts keep equal shards on one node,
    /// so that their joins need not move rows.
    pub fn place(&self, shards: u32) -> Vec<&NodeId> {
        let mean = f64::from(shards) / self.nodes.len() as f64;
        let most = (mean * LOAD_MAX).ceil();
        let mut loads: BTreeMap<&NodeId, f64> = BTreeMap::new();
        (0..shards)
            .filter_map(|shard| {
                let free = |node: &&NodeId| loads.get(*node).copied().unwrap_or_default() < most;
                let owner = self.successors(shard).find(free)?;
                *loads.entry(owner).or_default() += 1.0;
                Some(owner)
            })
            .collect()
    }

    /// All nodes in the order in which the shard comes to them.
    pub fn successors(&self, shard: ShardId) -> impl Iterator<Item = &NodeId> {
        let start = place(&[b"shard", &shard.to_le_bytes()]);
        let mut seen = vec![false; self.nodes.len()];
        self.points
            .range(start..)
            .chain(self.points.range(..start))
            .map(|(_, index)| *index)
            .filter(move |index| !std::mem::replace(&mut seen[*index], true))
            .map(|index| &self.nodes[index])
    }
}

fn place(parts: &[&[u8]]) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(count: usize) -> Ring {
        Ring::new((0..count).map(|i| NodeId::new(format!("executor-{i}"))))
    }

    fn owners(ring: &Ring) -> Vec<String> {
        ring.place(4096).into_iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_joining_node_takes_its_share_and_moves_little_else() {
        let (before, after) = (owners(&ring(8)), owners(&ring(9)));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(moved as f64 / 4096.0 <= 1.25 / 9.0, "{moved}");
    }

    #[test]
    fn no_node_owns_far_more_than_its_share() {
        for (nodes, shards, most) in [(3, 16, 7), (2, 16, 10), (4, 16, 5), (5, 64, 16)] {
            let ring = ring(nodes);
            let placed = ring.place(shards);
            assert_eq!(placed.len(), shards as usize);
            for node in ring.nodes() {
                let owned = placed.iter().filter(|owner| *owner == &node).count();
                assert!(owned <= most, "{node} of {nodes} owns {owned} of {shards}");
            }
        }
    }

    #[test]
    fn successors_name_every_node_once() {
        let ring = ring(5);
        let mut nodes: Vec<_> = ring.successors(3).cloned().collect();
        nodes.sort();
        assert_eq!(nodes, ring.nodes());
    }

    #[test]
    fn the_same_nodes_in_any_order_are_the_same_ring() {
        let forward = ring(4);
        let backward = Ring::new(forward.nodes().iter().rev().cloned());
        assert_eq!(owners(&forward), owners(&backward));
    }

    #[test]
    fn an_empty_ring_owns_nothing() {
        assert!(Ring::new([]).place(16).is_empty());
    }
}
