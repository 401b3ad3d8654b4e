//! Attention of whole stretches on the two default models: matrices, rollout, calibration, what heads write, and all of
//! it beside flash attention.
//!
//! Invariant: one loaded model per fixture and process, behind one lock; no test depends on another's cache.

use std::sync::{Mutex, MutexGuard, OnceLock};

use crate::kit::{GEMMA, Model as Fixture, SMOLLM, exact_gemma, exact_smollm, gemma, locked, smollm};
use crate::noise::ORDER;
use glassbox::engine::protocol::{
    Attend, Attended, Attending, Event, Failure, Generate, Job, Prompt, Request, Want,
};
use glassbox::inspect::scores::HeadScores;
use glassbox::inspect::trace::{Attention, Component, HeadClass};
use glassbox::model_entry::{FlashAttention, LoadParams};
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;

const FRANCE: &str = "The capital of France is";

impl Fixture {
    fn try_attend(&mut self, ids: &[TokenId], of: Attending) -> Result<Attended, Failure> {
        let request = Attend { ids: ids.to_vec(), of, ..Attend::default() };
        match self.answer(Request::Job(Job::Attend(Box::new(request)))) {
            Event::Attended(attended) => Ok(*attended),
            Event::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    fn attend(&mut self, ids: &[TokenId], of: Attending) -> Attended {
        self.try_attend(ids, of).unwrap()
    }

    /// Attention of the last position: the overview and these layers.
    fn attention(&mut self, ids: &[TokenId], layers: &[u32]) -> Attention {
        let want = Want { overview: true, attention: layers.to_vec(), ..Want::default() };
        self.inspect(ids, want).trace.attention.unwrap()
    }

    fn calibrate(&mut self) -> HeadScores {
        match self.answer(Request::Job(Job::Calibrate)) {
            Event::Calibrated(scores) => *scores,
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, ids: &[TokenId]) {
        let sampling = Sampling { temperature: 0.0, max_tokens: 1, ..Sampling::default() };
        let prompt = Prompt::Ids { ids: ids.to_vec(), taken: Vec::new(), chat: false };
        let request =
            Generate { prompt, sampling, top_logprobs: 1, begun: 0, interventions: Vec::new(), allow: None };
        self.answer(Request::Job(Job::Generate(Box::new(request))));
    }

    /// A text of more tokens than Gemma's window.
    fn long(&self, tokens: usize) -> Vec<TokenId> {
        let text = "The quick brown fox jumps over the lazy dog while the band plays on and the rain falls. ";
        let mut ids = self.ids(&text.repeat(tokens / 18 + 2));
        ids.truncate(tokens);
        assert_eq!(ids.len(), tokens);
        ids
    }
}

fn load(variable: &str, exact: bool, flash_attention: FlashAttention) -> Fixture {
    let params = LoadParams { context: 2048, exact, flash_attention, ..LoadParams::default() };
    let model = Fixture::load(variable, params);
    assert_eq!(model.loaded.flash_attention, flash_attention == FlashAttention::On);
    model
}

fn exact() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    locked(&FIXTURE, || load(SMOLLM, true, FlashAttention::Auto))
}

fn flash() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    locked(&FIXTURE, || load(SMOLLM, true, FlashAttention::On))
}

fn flash_gemma() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    locked(&FIXTURE, || load(GEMMA, false, FlashAttention::On))
}

fn rows(all: &Attended) -> Vec<Vec<f32>> {
    (0..all.len()).map(|row| all.row(all.first as usize + row).unwrap()).collect()
}

/// The largest difference between two rows.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_row_of_a_matrix_is_a_share_and_the_last_is_the_single_passs() {
    for (model, heads) in
        [(exact_smollm as fn() -> _, [(0, 0), (11, 4), (29, 8)]), (exact_gemma, [(0, 0), (5, 3), (17, 1)])]
    {
        let mut model = model();
        let ids = model.ids("Alice has three apples. Bob gives her two more apples, so now Alice has");
        for (layer, head) in heads {
            let matrix = model.attend(&ids, Attending::Head(layer, head));
            assert_eq!((matrix.first, matrix.len()), (0, ids.len()));
            for (at, row) in rows(&matrix).iter().enumerate() {
                let sum: f32 = row.iter().sum();
                assert!(row.len() == at + 1 && (sum - 1.0).abs() < 1e-3, "layer {layer} row {at}: {sum}");
            }
            let alone = model.attention(&ids, &[layer]).layers[0].heads[head as usize].weights.clone();
            let off = apart(&matrix.row(ids.len() - 1).unwrap(), &alone);
            assert!(off < ORDER.share(), "layer {layer} head {head}: {off}");
        }
    }
}

#[test]
fn a_long_text_has_its_last_rows_over_all_columns_and_nothing_outside_the_window() {
    let mut model = gemma();
    let ids = model.long(700);
    // Gemma 3: every sixth block sees everything, the others 512 tokens.
    for (layer, windowed) in [(0, true), (5, false)] {
        let matrix = model.attend(&ids, Attending::Head(layer, 1));
        assert_eq!((matrix.first, matrix.len()), (188, 512));
        for (row, at) in rows(&matrix).iter().zip(188_usize..) {
            let sum: f32 = row.iter().sum();
            assert!((sum - 1.0).abs() < 1e-3, "layer {layer} row {at}: {sum}");
            let outside = if windowed { at.saturating_sub(511) } else { 0 };
            assert_eq!(matrix.seen_from[at - 188] as usize, outside, "layer {layer} row {at}");
            assert!(row[..outside].iter().all(|weight| *weight == 0.0), "layer {layer} row {at}");
        }
        let alone = model.attention(&ids, &[layer]).layers[0].heads[1].weights.clone();
        let off = apart(&matrix.row(699).unwrap(), &alone);
        assert!(off < ORDER.share(), "layer {layer}: {off}");
    }
}

#[test]
fn a_matrix_leaves_the_chats_sequence_as_it_was() {
    let mut model = smollm();
    let ids = model.long(600);
    model.read(&ids);
    let of = Attending::Head(3, 1);
    let beside = model.attend(&ids, of);
    assert_eq!(beside.decoded, 512);
    let again = model.attend(&ids, of);
    assert_eq!((again.decoded, &again.weights), (512, &beside.weights));
    let other = model.ids(FRANCE);
    model.read(&other);
    assert!(model.attend(&ids, of).decoded > 590, "what lies before is read again");
}

#[test]
fn what_lies_before_a_matrix_on_another_branch_is_read_once() {
    let mut model = smollm();
    let chat = model.long(900);
    model.read(&chat);
    let other: Vec<TokenId> = chat[..20].iter().chain(&chat[21..]).copied().collect();
    let first = model.attend(&other, Attending::Head(3, 1));
    assert_eq!(first.decoded as usize, other.len() - 20, "what the branches share is not read");
    let again = model.attend(&other, Attending::Head(3, 1));
    assert_eq!((again.decoded, &again.weights), (512, &first.weights), "only the rows are read again");
    assert_eq!(model.attend(&other, Attending::Head(5, 2)).decoded, 512);
    let want = Want { lens: true, ..Want::default() };
    assert!(model.inspect(&other, want).decoded <= 512, "a pass of the branch has what lies before too");
    model.read(&chat);
    assert_eq!(model.attend(&chat, Attending::Head(3, 1)).decoded, 512, "the chat stayed as it was");
}

#[test]
fn the_rollout_is_the_product_of_all_blocks() {
    for model in [smollm as fn() -> _, gemma] {
        let mut model = model();
        let ids = model.ids(FRANCE);
        let (layers, heads) = {
            let trace = model.inspect(&ids, Want::default()).trace;
            (trace.layers, trace.heads)
        };
        let n = ids.len();
        let mut naive: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        for layer in 0..layers {
            let matrices: Vec<_> =
                (0..heads).map(|head| rows(&model.attend(&ids, Attending::Head(layer, head)))).collect();
            let mean = |i: usize, j: usize| {
                let each = matrices.iter().map(|rows| rows[i].get(j).copied().map_or(0.0, f64::from));
                0.5 * each.sum::<f64>() / f64::from(heads) + if i == j { 0.5 } else { 0.0 }
            };
            let through = |i: usize, j: usize| (0..n).map(|k| mean(i, k) * naive[k][j]).sum::<f64>();
            naive = (0..n).map(|i| (0..n).map(|j| through(i, j)).collect()).collect();
        }
        let rollout = model.attend(&ids, Attending::Rollout);
        for (i, row) in rows(&rollout).iter().enumerate() {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-3);
            for (j, share) in row.iter().enumerate() {
                assert!((f64::from(*share) - naive[i][j]).abs() < 2e-3, "{i} {j}: {share} {}", naive[i][j]);
            }
        }
    }
}

#[test]
fn the_rollout_of_a_text_of_512_tokens_is_made_and_of_a_longer_one_refused() {
    let mut model = smollm();
    let ids = model.long(513);
    let whole = model.attend(&ids[..512], Attending::Rollout);
    println!("rollout of 512 tokens: {:.0} ms", whole.ms);
    assert_eq!((whole.first, whole.len()), (0, 512));
    let sum: f32 = whole.row(511).unwrap().iter().sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    let said = model.try_attend(&ids, Attending::Rollout).unwrap_err().message;
    assert!(said.contains("at most 512 tokens; this one has 513"), "{said}");
}

#[test]
fn calibration_finds_what_heads_usually_do() {
    let mut model = smollm();
    let scores = model.calibrate();
    println!("calibrated in {:.0} ms", scores.ms);
    assert!(scores.fits(30, 9));
    let of =
        |class: HeadClass| scores.layers.iter().flatten().filter(|score| score.class().0 == class).count();
    let induction = scores.layers.iter().flatten().map(|score| score.induction).fold(0.0, f32::max);
    println!("strongest induction head {induction:.2}; {} heads rest on token 0", of(HeadClass::Sink));
    assert!(induction > 0.4 && of(HeadClass::Induction) > 0 && of(HeadClass::Previous) > 0, "{induction}");
    // On random text most heads rest, also the one that carries France to Paris.
    assert!((150..230).contains(&of(HeadClass::Sink)), "{}", of(HeadClass::Sink));
    let france = scores.head(23, 4).unwrap();
    assert!(france.class().0 == HeadClass::Sink && (france.sink - 0.49).abs() < 0.15, "{france:?}");
    let again = model.calibrate();
    assert_eq!(scores.layers, again.layers);
}

#[test]
fn calibration_works_on_a_model_with_windows() {
    let mut model = gemma();
    let scores = model.calibrate();
    println!("calibrated in {:.0} ms", scores.ms);
    assert!(scores.fits(18, 4));
    let best = scores.layers.iter().flatten().map(|score| score.induction).fold(0.0, f32::max);
    println!("strongest induction head {best:.2}");
    assert!(best > 0.3, "{best}");
}

/// What each head of the default model does at the end of "The capital of France is", worked out with transformers in
/// float32: `s` rests on token 0, `p` reads the token before, `x` itself, `•` another; the figure is the sum of the
/// lengths of what it writes from each position but token 0, in steps of 3 % of the stream's length, at most 8.
const GRID: &str = "\
    •1 •1 •1 •0 •1 •0 •1 •0 •0
    •4 p4 p5 •6 •4 •5 •3 •2 •2
    s2 p4 s2 s2 s0 s2 s1 s2 s1
    s0 s0 s0 s0 s0 s1 s1 s1 •6
    s1 s2 s1 s0 s0 s0 s2 s1 •4
    s1 s2 •2 s0 s3 s0 s0 s1 s1
    s0 s1 s1 s1 s1 s1 s1 s1 s1
    s0 s0 s1 s1 s1 s1 s0 s0 s1
    s0 s0 s0 s1 s0 s2 s1 s1 s2
    s1 s2 s0 s1 •2 •3 s1 •4 s2
    s2 s1 •2 s2 s2 s1 •3 •3 •3
    s1 p4 s1 •3 •3 x4 x4 •3 p3
    •6 s2 •4 •3 •4 •2 s1 s2 s0
    s3 •2 s0 s1 •2 s0 •4 s0 •3
    •3 s0 •4 s0 s1 s1 s1 s2 •3
    s0 s0 s1 s1 s1 •4 s0 s2 s1
    p4 •3 •3 •3 •3 •2 s1 s1 s1
    s2 s1 s1 s0 s0 s0 s2 s1 p5
    s1 s2 s0 s1 s0 s1 s0 s0 s0
    s0 •4 s1 •4 s2 s2 s1 s1 s1
    s0 s2 s0 s0 s0 s0 s0 s0 s0
    s1 s1 s0 s2 s1 s1 s2 •3 s0
    s2 s2 •3 •4 s1 •4 •3 s0 •2
    s2 s1 s0 s4 •8 s3 s0 s1 s0
    s0 s0 s0 s1 s2 s1 s0 s0 s0
    s0 s0 s1 s0 s0 s0 s0 s0 s1
    •2 s0 s1 s0 s1 s0 s0 s1 s1
    s1 x2 s0 •1 •2 s1 s1 s0 s0
    s0 s0 s0 s1 s0 s1 s0 s1 s0
    •3 x3 s2 •2 s0 s0 s1 s0 s0";

#[test]
fn what_heads_do_and_write_agrees_with_transformers() {
    let mut model = exact();
    let ids = model.ids(FRANCE);
    let want = Want { overview: true, attention: (0..30).collect(), lens: true, ..Want::default() };
    let trace = model.inspect(&ids, want).trace;
    let (attention, lens) = (trace.attention.unwrap(), trace.lens.unwrap());
    let lines = GRID.lines().filter(|line| !line.trim().is_empty());
    for ((layer, line), heads) in attention.layers.iter().zip(lines).zip(&attention.overview) {
        let step = 0.03 * lens.rows[layer.layer as usize + 1].norm;
        for ((row, reading), cell) in layer.heads.iter().zip(heads).zip(line.split_whitespace()) {
            let theirs: f32 = cell[cell.len() - 1..].parse().unwrap();
            let lengths = row.value_norms[1..].iter().sum::<f32>() / step;
            // The reference is rounded to a step.
            assert!((lengths.min(8.0) - theirs).abs() < 0.6, "layer {}: {lengths}, {cell}", layer.layer);
            // The parts may cancel each other, never add up to more.
            let written = reading.written.unwrap() * lens.rows[layer.layer as usize + 1].norm / step;
            assert!(written <= 1.02 * lengths + 0.01, "layer {}: {written}, {lengths}", layer.layer);
            // Nor can the rest cancel more of the longest part than it has itself.
            let most = row.value_norms[1..].iter().copied().fold(0.0, f32::max) / step;
            assert!(written >= 0.97 * (2.0 * most - lengths) - 0.02, "{written} {lengths} {most}");
            // Sorts are told apart by thresholds; a head that clearly rests does so in both.
            if row.weights[0] > 0.6 {
                assert!(
                    cell.starts_with('s') && reading.class == HeadClass::Sink,
                    "layer {}: {cell}",
                    layer.layer
                );
            }
        }
    }
    assert!((attention.overview[23][4].written.unwrap() - 0.27).abs() < 0.01);
}

/// What L23 head 4 of the default model writes there, as the design draws it: ␣Paris 3.15 over ␣the, 27 % of the stream's
/// length, toward ␣France and its kin.
#[test]
fn what_a_head_writes_is_told_as_tokens_and_agrees_with_its_push() {
    let mut model = exact();
    let ids = model.ids(FRANCE);
    let named = |model: &Fixture, text: &str| *model.ids(text).last().unwrap();
    let (paris, the) = (named(&model, " Paris"), named(&model, " the"));
    let want = Want {
        follow: vec![paris, the],
        head: Some((23, 4)),
        attribution: Some((paris, the)),
        ..Want::default()
    };
    let trace = model.inspect(&ids, want).trace;
    assert_eq!(trace.missing, Vec::<String>::new());
    let attention = trace.attention.unwrap();
    let told = &attention.head_logits[0];
    println!("{told:?}");
    assert_eq!((told.layer, told.head, told.tells_of(&[paris, the])), (23, 4, true));
    assert!((told.share - 0.27).abs() < 0.02, "{}", told.share);
    let raised: Vec<TokenId> = told.promotes.iter().map(|(id, _)| *id).collect();
    assert!(raised.contains(&named(&model, " France")) && raised.contains(&named(&model, " French")));
    assert!(told.promotes.is_sorted_by(|a, b| a.1 >= b.1) && told.suppresses.is_sorted_by(|a, b| a.1 <= b.1));
    let apart = told.followed[0].1 - told.followed[1].1;
    let pushed = trace.attribution.unwrap();
    let push = pushed.heads.iter().find(|part| part.part == Component::Head(23, 4)).unwrap().logit_difference;
    assert!((apart - push).abs() < 0.05 && (apart - 3.15).abs() < 0.1, "{apart} {push}");
}

#[test]
fn at_the_first_token_heads_write_nothing_that_counts() {
    let mut model = smollm();
    let ids = model.ids(FRANCE);
    let first = model.attention(&ids[..1], &[]).overview;
    assert!(first.iter().flatten().all(|head| head.written.unwrap() < 1e-3), "{first:?}");
}

#[test]
fn where_a_norm_follows_attention_shares_are_of_what_is_added() {
    let mut model = gemma();
    // In the long text token 0 lies outside the windows.
    for ids in [model.ids("In the morning the ferry leaves the harbour, and"), model.long(700)] {
        let want = Want { overview: true, lens: true, ..Want::default() };
        let trace = model.inspect(&ids, want).trace;
        let (attention, lens) = (trace.attention.unwrap(), trace.lens.unwrap());
        for (row, heads) in lens.rows[1..].iter().zip(&attention.overview) {
            // The heads' parts but for token 0's, and at most twice as much with it.
            let all: f32 = heads.iter().map(|head| head.written.unwrap()).sum();
            let added = row.attention_added / row.norm;
            let place = (ids.len(), row.layer);
            assert!(all > 0.02 * added && all < 6.0 * added, "{place:?}: {all} of {added}");
        }
    }
}

#[test]
fn beside_flash_attention_the_weights_are_the_same() {
    for (plain, flashing) in
        [(exact as fn() -> MutexGuard<'static, Fixture>, flash as fn() -> _), (gemma, flash_gemma)]
    {
        let (plain, flash) = {
            let look = |model: &mut Fixture| {
                let ids =
                    model.ids("Alice has three apples. Bob gives her two more apples, so now Alice has");
                let attention = model.attention(&ids, &[0, 9]);
                let matrix = model.attend(&ids, Attending::Head(0, 1));
                let rollout = model.attend(&ids, Attending::Rollout);
                (attention, matrix, rollout)
            };
            let before = look(&mut plain());
            (before, look(&mut flashing()))
        };
        assert!(!plain.0.flash && flash.0.flash && flash.1.flash && flash.2.flash);
        for (a, b) in plain.0.layers[0].heads.iter().zip(&flash.0.layers[0].heads) {
            assert!(apart(&a.weights, &b.weights) < 2e-3, "{:?} {:?}", a.weights, b.weights);
            assert!(!b.value_norms.is_empty());
        }
        for (a, b) in rows(&plain.1).iter().zip(&rows(&flash.1)) {
            assert!(apart(a, b) < 2e-3);
        }
        // Higher up small differences have grown, and it is another computation; it is still attention.
        for (a, b) in plain.0.layers[1].heads.iter().zip(&flash.0.layers[1].heads) {
            assert!((b.weights.iter().sum::<f32>() - 1.0).abs() < 1e-3);
            assert!(apart(&a.weights, &b.weights) < 0.1, "{:?} {:?}", a.weights, b.weights);
        }
        for (a, b) in rows(&plain.2).iter().zip(&rows(&flash.2)) {
            assert!((b.iter().sum::<f32>() - 1.0).abs() < 1e-3 && apart(a, b) < 0.05);
        }
        for (a, b) in plain.0.overview.iter().flatten().zip(flash.0.overview.iter().flatten()) {
            assert!((a.written.unwrap() - b.written.unwrap()).abs() < 0.05, "{a:?} {b:?}");
        }
    }
}

#[test]
fn calibration_beside_flash_attention_is_the_same() {
    let plain = exact().calibrate();
    let flash = flash().calibrate();
    println!("calibrated beside flash attention in {:.0} ms", flash.ms);
    for (a, b) in plain.layers.iter().flatten().zip(flash.layers.iter().flatten()) {
        assert!((a.sink - b.sink).abs() < 0.1 && (a.induction - b.induction).abs() < 0.1, "{a:?} {b:?}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let mut model = gemma();
    let ids = model.ids("one two");
    let said = |model: &mut Fixture, ids: &[TokenId], of| model.try_attend(ids, of).unwrap_err().message;
    assert_eq!(
        said(&mut model, &ids, Attending::Head(18, 0)),
        "There is no layer 18: this model has layers 0 to 17."
    );
    assert_eq!(
        said(&mut model, &ids, Attending::Head(0, 4)),
        "There is no head 4: a layer of this model has heads 0 to 3."
    );
    assert_eq!(
        said(&mut model, &[], Attending::Rollout),
        "There is no attention to show: nothing has been read."
    );
    assert!(model.try_attend(&[TokenId(-5)], Attending::Rollout).is_err());
    let first = model.attend(&ids[..1], Attending::Rollout);
    assert_eq!(first.row(0), Some(vec![1.0]));
}
