//! Whether a file is a LoRA adapter or a control vector for a model, told from the headers of both.
//!
//! Invariant: what passes here llama.cpp computes with; over shapes that do not fit it would end the process.

use std::collections::BTreeSet;

use crate::chat::AdapterKind;
use crate::model_entry::{ModelFile, TensorPlace};

/// The numbers of ggml's formats that hold whole numbers or 64-bit floats: no weights.
const NO_WEIGHTS: std::ops::RangeInclusive<u32> = 24..=28;
/// ggml's number of 32-bit floats.
const F32: u32 = 0;

/// Why a file cannot be used as an adapter of that kind on a model with a stream of `width` values and so many layers,
/// as the rest of a sentence about the file.
///
/// # Errors
/// With that reason.
pub fn check(
    kind: AdapterKind,
    file: &dyn ModelFile,
    model: Option<&dyn ModelFile>,
    (width, layers): (usize, u32),
) -> Result<(), String> {
    let is = found(file);
    match kind {
        AdapterKind::Lora if is != Some(kind) => {
            Err(format!("it is {}, not a LoRA adapter{}", called(is, file), elsewhere(is)))
        }
        AdapterKind::ControlVector if is != Some(kind) => {
            Err(format!("it is {}, not a control vector{}", called(is, file), elsewhere(is)))
        }
        AdapterKind::Lora => lora(file, model),
        AdapterKind::ControlVector => directions(file, width, layers).map(|_| ()),
    }
}

/// What a file says that it is; `None` for a model or anything else.
fn found(file: &dyn ModelFile) -> Option<AdapterKind> {
    let text = |key: &str| file.text(key).unwrap_or_default();
    let names = file.names();
    match (text("general.type").as_str(), text("general.architecture").as_str()) {
        ("adapter", _) => Some(AdapterKind::Lora),
        (_, "controlvector") | ("controlvector", _) => Some(AdapterKind::ControlVector),
        _ if !names.is_empty() && names.iter().all(|name| name.starts_with("direction.")) => {
            Some(AdapterKind::ControlVector)
        }
        _ => None,
    }
}

fn called(is: Option<AdapterKind>, file: &dyn ModelFile) -> String {
    match is {
        Some(AdapterKind::Lora) => "a LoRA adapter".to_owned(),
        Some(AdapterKind::ControlVector) => "a control vector".to_owned(),
        None => match file.text("general.type") {
            Some(kind) if kind != "model" => format!("of the type \"{kind}\""),
            _ => "a model".to_owned(),
        },
    }
}

fn elsewhere(is: Option<AdapterKind>) -> String {
    is.map_or_else(String::new, |kind| format!(" (it belongs under {})", kind.key()))
}

fn lora(file: &dyn ModelFile, model: Option<&dyn ModelFile>) -> Result<(), String> {
    let kind = file.text("adapter.type").unwrap_or_default();
    if kind != "lora" {
        return Err(format!("it is an adapter of the type \"{kind}\", not LoRA"));
    }
    if file.numbers("adapter.alora.invocation_tokens").is_some() {
        return Err("it acts only after certain tokens (activated LoRA), which is not supported".to_owned());
    }
    let architecture = |file: &dyn ModelFile| file.text("general.architecture").unwrap_or_default();
    if let Some(model) = model {
        let (made_for, this) = (architecture(file), architecture(model));
        if made_for != this {
            return Err(format!(
                "it was made for a model of the architecture {made_for}, and this is {this}"
            ));
        }
    }
    let names = file.names();
    let changed: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".lora_a").or(name.strip_suffix(".lora_b")))
        .collect();
    if changed.is_empty() {
        return Err("it holds no matrices".to_owned());
    }
    if let Some(other) = names.iter().find(|name| !is_part(name)) {
        return Err(format!("it holds {other}, which is no part of a LoRA adapter"));
    }
    changed.into_iter().try_for_each(|name| pair(file, model, name))
}

/// llama.cpp passes over norms.
fn is_part(name: &str) -> bool {
    [".lora_a", ".lora_b", "_norm.weight"].iter().any(|ending| name.ends_with(ending))
}

/// One matrix and its two thin ones, A (as long as the matrix's rows) and B (as many rows as the matrix).
fn pair(file: &dyn ModelFile, model: Option<&dyn ModelFile>, name: &str) -> Result<(), String> {
    let part = |ending: &str| {
        file.tensor(&format!("{name}.{ending}")).ok_or_else(|| format!("it has no {name}.{ending}"))
    };
    let (a, b) = (part("lora_a")?, part("lora_b")?);
    if [&a, &b].iter().any(|part| NO_WEIGHTS.contains(&part.kind)) {
        return Err(format!("what it holds for {name} are no weights"));
    }
    let (a, b) = (dimensions(&a), dimensions(&b));
    let table = name == "token_embd.weight";
    let Some(model) = model else { return Ok(()) };
    if table && model.tensor("output.weight").is_none() {
        return Err(
            "it changes the embedding table, which this model also makes its logits with: llama.cpp \
                    cannot do that"
                .to_owned(),
        );
    }
    let matrix = model.tensor(name).ok_or_else(|| {
        format!("it changes {name}, which this model does not have: it was made for another one")
    })?;
    let w = dimensions(&matrix);
    // Of the table rows are looked up, so its halves stand the other way round.
    let fits = if table {
        w[0] == b[1] && w[1] == a[1] && a[0] == b[0]
    } else {
        w[0] == a[0] && w[1] == b[1] && a[1] == b[0] && w[2..] == a[2..] && w[2..] == b[2..]
    };
    if fits {
        return Ok(());
    }
    Err(format!(
        "its part for {name} is {} × {}, and the matrix is {} × {}: it was made for another model",
        if table { a[1] } else { a[0] },
        b[1],
        if table { w[1] } else { w[0] },
        if table { w[0] } else { w[1] },
    ))
}

fn dimensions(place: &TensorPlace) -> [u64; 4] {
    std::array::from_fn(|at| place.shape.get(at).copied().unwrap_or(1))
}

/// The directions that a control vector holds: the tensor's name and the layer after which it is added.
///
/// # Errors
/// Where one is no direction of such a model, as the rest of a sentence about the file.
pub fn directions(file: &dyn ModelFile, width: usize, layers: u32) -> Result<Vec<(String, u32)>, String> {
    let names = file.names();
    if names.is_empty() {
        return Err("it holds no directions".to_owned());
    }
    let direction = |name: String| {
        let layer = name.strip_prefix("direction.").and_then(|layer| layer.parse::<u32>().ok());
        let layer = layer.ok_or_else(|| format!("it holds {name}, which is no direction"))?;
        if layer == 0 || layer >= layers {
            let last = layers.saturating_sub(1);
            return Err(format!(
                "it pushes after layer {layer}, and this model can be pushed after 1 to {last}"
            ));
        }
        let place = file.tensor(&name).ok_or_else(|| format!("it has no {name}"))?;
        let count: u64 = place.shape.iter().product();
        if count != width as u64 {
            return Err(format!(
                "its directions have {count} values, and this model's residual stream has {width}: it was made with \
                 another model"
            ));
        }
        if place.kind != F32 {
            return Err(format!("{name} is not in 32-bit floats"));
        }
        Ok((name, layer))
    };
    names.into_iter().map(direction).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Clone, Default)]
    struct Made {
        texts: BTreeMap<&'static str, &'static str>,
        tensors: BTreeMap<String, (Vec<u64>, u32)>,
    }

    impl Made {
        fn text(mut self, key: &'static str, value: &'static str) -> Self {
            self.texts.insert(key, value);
            self
        }

        fn with(mut self, name: &str, shape: &[u64], kind: u32) -> Self {
            self.tensors.insert(name.to_owned(), (shape.to_vec(), kind));
            self
        }
    }

    impl ModelFile for Made {
        fn names(&self) -> Vec<String> {
            self.tensors.keys().cloned().collect()
        }
        fn tensor(&self, name: &str) -> Option<TensorPlace> {
            let (shape, kind) = self.tensors.get(name)?.clone();
            Some(TensorPlace { path: "x".into(), shape, kind, offset: 0, bytes: 0 })
        }
        fn number(&self, _: &str) -> Option<f64> {
            None
        }
        fn text(&self, key: &str) -> Option<String> {
            self.texts.get(key).map(|text| (*text).to_owned())
        }
        fn numbers(&self, key: &str) -> Option<Vec<f64>> {
            self.texts.contains_key(key).then(Vec::new)
        }
        fn texts(&self, _: &str) -> Option<Vec<String>> {
            None
        }
    }

    fn model() -> Made {
        Made::default().text("general.architecture", "llama").with("blk.0.attn_q.weight", &[32, 64], 1).with(
            "token_embd.weight",
            &[32, 100],
            1,
        )
    }

    fn adapter() -> Made {
        Made::default()
            .text("general.type", "adapter")
            .text("general.architecture", "llama")
            .text("adapter.type", "lora")
            .with("blk.0.attn_q.weight.lora_a", &[32, 4], 0)
            .with("blk.0.attn_q.weight.lora_b", &[4, 64], 0)
    }

    fn refused(kind: AdapterKind, file: &Made, words: &str) {
        let why = check(kind, file, Some(&model()), (32, 4)).unwrap_err();
        assert!(why.contains(words), "{why}");
    }

    #[test]
    fn an_adapter_for_the_model_passes_and_each_other_says_what_is_wrong() {
        use AdapterKind::Lora;
        check(Lora, &adapter(), Some(&model()), (32, 4)).unwrap();
        check(Lora, &adapter(), None, (32, 4)).unwrap();
        refused(Lora, &model(), "it is a model, not a LoRA adapter");
        refused(
            Lora,
            &vector(),
            "it is a control vector, not a LoRA adapter (it belongs under control_vectors)",
        );
        refused(
            Lora,
            &adapter().text("general.architecture", "gemma3"),
            "architecture gemma3, and this is llama",
        );
        refused(Lora, &adapter().text("adapter.type", "dora"), "of the type \"dora\"");
        refused(Lora, &adapter().text("adapter.alora.invocation_tokens", ""), "activated LoRA");
        refused(
            Lora,
            &adapter().with("blk.0.attn_q.weight.lora_b", &[4, 63], 0),
            "is 32 × 63, and the matrix is 32 × 64",
        );
        refused(Lora, &adapter().with("blk.0.attn_q.weight.lora_a", &[32, 5], 0), "another model");
        refused(Lora, &adapter().with("blk.0.attn_q.weight.lora_a", &[32, 4, 2], 0), "another model");
        refused(Lora, &adapter().with("blk.0.attn_q.weight.lora_a", &[32, 4], 26), "are no weights");
        refused(
            Lora,
            &adapter().with("blk.9.attn_q.weight.lora_a", &[32, 4], 0),
            "has no blk.9.attn_q.weight.lora_b",
        );
        refused(Lora, &adapter().with("x", &[1], 0), "it holds x");
        let further = adapter().with("blk.9.q.weight.lora_a", &[1], 0).with("blk.9.q.weight.lora_b", &[1], 0);
        refused(Lora, &further, "which this model does not have");
        let mut none = adapter();
        none.tensors.clear();
        refused(Lora, &none, "no matrices");
    }

    #[test]
    fn a_table_that_also_makes_the_logits_is_not_changed() {
        let made = adapter().with("token_embd.weight.lora_a", &[4, 100], 0).with(
            "token_embd.weight.lora_b",
            &[4, 32],
            0,
        );
        refused(AdapterKind::Lora, &made, "also makes its logits with");
        let apart = model().with("output.weight", &[32, 100], 1);
        check(AdapterKind::Lora, &made, Some(&apart), (32, 4)).unwrap();
        let wide = made.with("token_embd.weight.lora_b", &[5, 32], 0);
        assert!(check(AdapterKind::Lora, &wide, Some(&apart), (32, 4)).is_err(), "the ranks differ");
    }

    fn vector() -> Made {
        Made::default().text("general.architecture", "controlvector").with("direction.1", &[32], 0)
    }

    #[test]
    fn a_control_vector_is_of_the_model_s_width_and_layers() {
        use AdapterKind::ControlVector;
        let both = vector().with("direction.3", &[32], 0);
        let found = directions(&both, 32, 4).unwrap();
        assert_eq!(found, [("direction.1".to_owned(), 1), ("direction.3".to_owned(), 3)]);
        check(ControlVector, &both, Some(&model()), (32, 4)).unwrap();
        refused(ControlVector, &vector().with("direction.0", &[32], 0), "after layer 0");
        refused(ControlVector, &vector().with("direction.4", &[32], 0), "1 to 3");
        refused(ControlVector, &vector().with("direction.2", &[64], 0), "stream has 32");
        refused(ControlVector, &vector().with("direction.2", &[32], 1), "32-bit floats");
        refused(ControlVector, &vector().with("x", &[32], 0), "no direction");
        refused(
            ControlVector,
            &adapter(),
            "it is a LoRA adapter, not a control vector (it belongs under lora)",
        );
        refused(ControlVector, &model(), "it is a model");
    }
}
