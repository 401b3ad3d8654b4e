//! A family with a LoRA adapter in use, and the reference whose weights hold the adapter's products already.
//!
//! Invariant: the adapter changes every matrix that is multiplied with, by much more than any tolerance.

use glassbox::chat::{Adapter, AdapterKind, Intervention};

use crate::family::Family;
use crate::fixture::Fixture;
use crate::gguf::{self, Maker, Meta, Tensor, Tensors};
use crate::reference::Reference;

/// Rank of the products.
const RANK: usize = 2;
/// The file's own factor, over the rank.
const ALPHA: f64 = 3.0;
/// The adapter's scale.
const SCALE: f32 = -0.7;

/// The family loaded with an adapter in use, and the reference with both in one.
pub fn load(family: Family) -> (Fixture, Reference) {
    let tensors = gguf::tensors(&family);
    let metadata = gguf::metadata(&family);
    let mut fixture = Fixture::new(family.architecture, metadata, &tensors, &crate::exact());
    let (adapter, merged) = of(&tensors, &family);
    let path = fixture.with.path().join("adapter.gguf");
    gguf::write_adapter(&path, family.architecture, Meta::Float(ALPHA), &adapter);
    let adapter = Adapter { kind: AdapterKind::Lora, path, scale: SCALE };
    fixture.model.interventions = vec![Intervention::Adapter(adapter)];
    (fixture, Reference::new(family, &merged))
}

/// An adapter for weights, and the weights with it.
fn of(tensors: &Tensors, family: &Family) -> (Tensors, Tensors) {
    // Blocks that only foresee are not there for a usual pass.
    let runs = |name: &str| {
        let block = name.strip_prefix("blk.").and_then(|rest| rest.split('.').next()?.parse().ok());
        block.is_none_or(|block: usize| block < family.layers)
    };
    let mut maker = Maker::new("adapter");
    let mut merged = Tensors::new();
    for (name, tensor) in tensors {
        let mut values = tensor.values.clone();
        if is_matrix(name, tensor) && runs(name) {
            let (length, rows) = (tensor.shape[0], tensor.shape[1]);
            let parts: Vec<usize> = tensor.shape[2..].to_vec();
            let shape = |first: usize, second: usize| [&[first, second][..], &parts].concat();
            maker.put(&format!("{name}.lora_a"), &shape(length, RANK), 0.0, 0.5 / (length as f64).sqrt());
            maker.put(&format!("{name}.lora_b"), &shape(RANK, rows), 0.0, 0.5);
            let half = |ending: &str| &maker.tensors[&format!("{name}.{ending}")].values;
            let (a, b) = (half("lora_a"), half("lora_b"));
            let factor = f64::from(SCALE) * ALPHA / RANK as f64;
            for (at, value) in values.iter_mut().enumerate() {
                let (row, column) = (at / length, at % length);
                let part = row / rows;
                let product: f64 = (0..RANK)
                    .map(|k| f64::from(b[row * RANK + k]) * f64::from(a[(part * RANK + k) * length + column]))
                    .sum();
                *value = (f64::from(*value) + factor * product) as f32;
            }
        }
        merged.insert(name.clone(), Tensor { shape: tensor.shape.clone(), values, halves: false });
    }
    (maker.tensors, merged)
}

/// Whether llama.cpp's graph multiplies with it where an adapter can add to that.
fn is_matrix(name: &str, tensor: &Tensor) -> bool {
    let others = ["token_embd.weight", "position_embd.weight"];
    tensor.shape.len() > 1 && name.ends_with(".weight") && !others.contains(&name)
}
