//! The logit lens's arithmetic: norms of streams, and how far a depth's logits are from the last one's.
//!
//! Invariant: probabilities are over the whole vocabulary; sums are in f64, differences of logarithms natural.

/// A model's final norm.
#[derive(Clone, Debug, PartialEq)]
pub enum Norm {
    /// `x / rms(x) ⊙ γ` (Zhang & Sennrich 2019).
    Rms {
        /// γ.
        weight: Vec<f32>,
        /// Added to the mean square.
        epsilon: f32,
    },
    /// `(x − mean) / σ ⊙ γ + β` (Ba et al. 2016).
    Layer {
        /// γ.
        weight: Vec<f32>,
        /// β; empty where there is none.
        bias: Vec<f32>,
        /// Added to the variance.
        epsilon: f32,
    },
}

impl Norm {
    /// The stream after the norm, its statistics taken from `stream` itself.
    #[must_use]
    pub fn apply(&self, stream: &[f32]) -> Vec<f32> {
        let divisor = self.divisor(stream);
        match self {
            Self::Rms { weight, .. } => {
                stream.iter().zip(weight).map(|(x, gain)| (f64::from(*x) / divisor) as f32 * gain).collect()
            }
            Self::Layer { weight, bias, .. } => {
                let mean = mean(stream);
                let shift = |index: usize| bias.get(index).copied().unwrap_or_default();
                let norm = |x: f32| ((f64::from(x) - mean) / divisor) as f32;
                stream
                    .iter()
                    .zip(weight)
                    .enumerate()
                    .map(|(i, (x, gain))| norm(*x) * gain + shift(i))
                    .collect()
            }
        }
    }

    /// What the norm divides by: the root of the mean square or of the variance, with its epsilon.
    #[must_use]
    pub fn divisor(&self, stream: &[f32]) -> f64 {
        let centre = if matches!(self, Self::Layer { .. }) { mean(stream) } else { 0.0 };
        let square = stream.iter().map(|x| (f64::from(*x) - centre).powi(2)).sum::<f64>();
        let (Self::Rms { epsilon, .. } | Self::Layer { epsilon, .. }) = self;
        (square / stream.len().max(1) as f64 + f64::from(*epsilon)).sqrt()
    }

    /// The linear map of the norm with the divisor frozen, taken backwards: with it
    /// `direction · norm(x) = pulled · x + constant` for the stream whose divisor this is.
    #[must_use]
    pub fn pull_back(&self, direction: &[f32], divisor: f64) -> Vec<f32> {
        let (Self::Rms { weight, .. } | Self::Layer { weight, .. }) = self;
        let mut pulled: Vec<f64> = direction
            .iter()
            .zip(weight)
            .map(|(d, gain)| f64::from(*d) * f64::from(*gain) / divisor)
            .collect();
        if matches!(self, Self::Layer { .. }) {
            // Taking the mean away is linear, and its own transpose.
            let mean = pulled.iter().sum::<f64>() / pulled.len().max(1) as f64;
            for value in &mut pulled {
                *value -= mean;
            }
        }
        pulled.into_iter().map(|value| value as f32).collect()
    }

    /// A part of a stream through the norm, with the whole stream's divisor and without the bias.
    #[must_use]
    pub fn frozen(&self, part: &[f32], divisor: f64) -> Vec<f32> {
        let (Self::Rms { weight, .. } | Self::Layer { weight, .. }) = self;
        let centre = if matches!(self, Self::Layer { .. }) { mean(part) } else { 0.0 };
        let each = part.iter().zip(weight);
        each.map(|(x, gain)| ((f64::from(*x) - centre) / divisor * f64::from(*gain)) as f32).collect()
    }

    /// The part of `direction · norm(x)` that does not depend on x.
    #[must_use]
    pub fn constant(&self, direction: &[f32]) -> f64 {
        match self {
            Self::Rms { .. } => 0.0,
            Self::Layer { bias, .. } => dot(direction, bias),
        }
    }
}

/// `cap · tanh(z / cap)` on every logit, for models that cap theirs.
pub fn soft_cap(logits: &mut [f32], cap: f32) {
    for logit in logits {
        *logit = cap * (*logit / cap).tanh();
    }
}

/// The logit before [`soft_cap`].
#[must_use]
pub fn uncapped(logit: f32, cap: f32) -> f64 {
    let part = (f64::from(logit) / f64::from(cap)).clamp(-1.0 + 1e-12, 1.0 - 1e-12);
    f64::from(cap) * part.atanh()
}

/// `D(p ‖ q)` in nats, of logits with their log-normalisers. Both have the same length.
#[must_use]
pub fn divergence(p: &[f32], p_normaliser: f64, q: &[f32], q_normaliser: f64) -> f32 {
    Reference::new(p, p_normaliser).divergence(q, q_normaliser)
}

/// A distribution that several others are held against: its exponentials are worked out once.
#[derive(Clone, Debug)]
pub struct Reference {
    /// p and ln p of each token; p is 0 where it is below e^−60.
    tokens: Vec<(f64, f64)>,
}

impl Reference {
    /// Of logits with their log-normaliser.
    #[must_use]
    pub fn new(logits: &[f32], normaliser: f64) -> Self {
        let token = |logit: &f32| {
            let logprob = f64::from(*logit) - normaliser;
            (if logprob > -60.0 { logprob.exp() } else { 0.0 }, logprob)
        };
        Self { tokens: logits.iter().map(token).collect() }
    }

    /// `D(this ‖ q)` in nats, of logits with their log-normaliser, as many as this has.
    #[must_use]
    pub fn divergence(&self, q: &[f32], q_normaliser: f64) -> f32 {
        let mut sum = 0.0_f64;
        for ((p, logprob), logit) in self.tokens.iter().zip(q) {
            if *p > 0.0 {
                sum += p * (logprob - (f64::from(*logit) - q_normaliser));
            }
        }
        sum.max(0.0) as f32
    }
}

/// Euclidean length.
#[must_use]
pub fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32
}

/// Euclidean distance.
#[must_use]
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt() as f32
}

/// Scalar product.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The first of the blocks from which on a token is always on top; `on_top` has one entry a block.
#[must_use]
pub fn decided(on_top: &[bool]) -> Option<u32> {
    let later = on_top.iter().rev().take_while(|top| **top).count();
    (later > 0).then(|| (on_top.len() - later) as u32)
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x)).sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }

    #[test]
    fn a_direction_pulled_back_through_a_norm_gives_the_same_product() {
        let stream = [3.0, -1.0, 0.5, 2.0];
        let direction = [0.2, 0.4, -1.0, 0.7];
        let weight = vec![1.0, 2.0, 0.5, -1.0];
        let norms = [
            Norm::Rms { weight: weight.clone(), epsilon: 1e-5 },
            Norm::Layer { weight, bias: vec![0.1, 0.2, 0.3, 0.4], epsilon: 1e-5 },
        ];
        for norm in norms {
            let straight = dot(&direction, &norm.apply(&stream));
            let pulled = norm.pull_back(&direction, norm.divisor(&stream));
            close(straight, dot(&pulled, &stream) + norm.constant(&direction));
            let frozen = norm.frozen(&stream, norm.divisor(&stream));
            close(straight, dot(&direction, &frozen) + norm.constant(&direction));
        }
    }

    #[test]
    fn a_layer_norm_has_no_mean_and_unit_variance() {
        let norm = Norm::Layer { weight: vec![1.0; 4], bias: Vec::new(), epsilon: 0.0 };
        let out = norm.apply(&[1.0, 2.0, 3.0, 6.0]);
        close(mean(&out), 0.0);
        close(dot(&out, &out), 4.0);
    }

    #[test]
    fn a_cap_is_undone() {
        let mut logits = [5.0, -40.0, 0.0];
        soft_cap(&mut logits, 30.0);
        close(uncapped(logits[0], 30.0), 5.0);
        assert!((uncapped(logits[1], 30.0) + 40.0).abs() < 1e-3);
    }

    #[test]
    fn a_distribution_lies_at_no_distance_from_itself() {
        let p = [2.0_f32, 0.0, -1.0];
        let normaliser = |z: &[f32]| z.iter().map(|z| f64::from(*z).exp()).sum::<f64>().ln();
        assert!(divergence(&p, normaliser(&p), &p, normaliser(&p)) < 1e-9);
        // Against the uniform distribution: ln 3 − H(p).
        let even = [0.0_f32; 3];
        let logs: Vec<f64> = p.iter().map(|z| f64::from(*z) - normaliser(&p)).collect();
        let entropy = -logs.iter().map(|l| l.exp() * l).sum::<f64>();
        close(f64::from(divergence(&p, normaliser(&p), &even, normaliser(&even))), 3.0_f64.ln() - entropy);
    }

    #[test]
    fn it_is_decided_where_the_token_stays_on_top() {
        assert_eq!(decided(&[true, false, true, true]), Some(2));
        assert_eq!(decided(&[true, true]), Some(0));
        assert_eq!(decided(&[true, false]), None);
        assert_eq!(decided(&[]), None);
    }
}
