//! Frames between app and engine: four bytes of length (little endian), then MessagePack with named fields.
//!
//! Invariant: a length is only believed as far as bytes really arrive, so no input, however crafted,
//! makes this allocate more than it was sent or panic.

#[cfg(test)]
use std::io::Write;
use std::io::{self, Read};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest frame, bytes. A vocabulary of 262 k entries takes about 5 MiB.
pub const MAX_FRAME: usize = 64 << 20;

/// Values nested deeper than this are refused; the protocol's own types stay under ten.
const MAX_DEPTH: usize = 64;

/// Why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The pipe failed.
    #[error("the pipe failed: {0}")]
    Io(#[from] io::Error),
    /// The stream ended inside a frame.
    #[error("the stream ended in the middle of a frame")]
    Cut,
    /// The frame is larger than [`MAX_FRAME`].
    #[error("a frame of {0} bytes is larger than the allowed {MAX_FRAME}")]
    TooLarge(usize),
    /// The value cannot be put into a frame (a path that is not UTF-8, say).
    #[error("the message cannot be put into a frame: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// The bytes are not the expected message.
    #[error("the frame does not hold the expected message: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
}

/// A value as one frame, length included.
///
/// # Errors
/// [`FrameError::Encode`] and [`FrameError::TooLarge`].
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    value.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map())?;
    let length = bytes.len() - 4;
    match u32::try_from(length) {
        Ok(short) if length <= MAX_FRAME => bytes[..4].copy_from_slice(&short.to_le_bytes()),
        _ => return Err(FrameError::TooLarge(length)),
    }
    Ok(bytes)
}

/// Writes a value as one frame and flushes. Fails as [`encode`], and [`FrameError::Io`].
#[cfg(test)]
pub fn write(output: &mut impl Write, value: &impl Serialize) -> Result<(), FrameError> {
    output.write_all(&encode(value)?)?;
    Ok(output.flush()?)
}

/// Reads one frame; `None` where the stream ends between two frames.
///
/// # Errors
/// All but [`FrameError::Encode`].
pub fn read<T: DeserializeOwned>(input: &mut impl Read) -> Result<Option<T>, FrameError> {
    let Some(length) = read_length(input)? else { return Ok(None) };
    if length > MAX_FRAME {
        return Err(FrameError::TooLarge(length));
    }
    let mut bytes = Vec::with_capacity(length.min(64 << 10));
    input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(FrameError::Cut);
    }
    decode(&bytes).map(Some)
}

/// The value in a frame's bytes, length excluded.
///
/// # Errors
/// [`FrameError::Decode`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    Ok(T::deserialize(&mut deserializer)?)
}

fn read_length(input: &mut impl Read) -> Result<Option<usize>, FrameError> {
    let mut bytes = [0; 4];
    let mut filled = 0;
    while filled < bytes.len() {
        match input.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Cut),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(u32::from_le_bytes(bytes) as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::{Role, StopReason, Timings, Usage};
    use crate::engine::protocol::{
        Call, Containment, Envelope, Event, Exit, Failure, FailureKind, Generate, Held, Immediate, Job,
        Measure, Message, Prompt, PromptFacts, Request, RequestId, StoredTokens, TemplateSetting,
    };
    use crate::model_entry::{LoadParams, ModelEntry, Source};
    use crate::sampling::Sampling;
    use crate::token::{Candidate, Step, TokenId, TokenKind, Vocabulary};

    fn entry(name: String) -> Box<ModelEntry> {
        Box::new(ModelEntry {
            preset: Some("calm".into()),
            built_in: true,
            ..ModelEntry::new(name.clone(), Source::Path(name.into()))
        })
    }

    fn message() -> impl Strategy<Value = Message> {
        let role = prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant)];
        let tokens = prop::collection::vec((any::<i32>().prop_map(TokenId), any::<u32>()), 0..5);
        (role, any::<String>(), prop::option::of((any::<String>(), tokens))).prop_map(
            |(role, text, stored)| {
                let stored = stored.map(|(vocabulary, tokens)| StoredTokens { vocabulary, tokens });
                Message { stored, ..Message::new(role, text) }
            },
        )
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            any::<String>().prop_map(|name| Request::Immediate(Immediate::Describe { entry: entry(name) })),
            any::<String>().prop_map(|name| Request::Job(Job::Load {
                entry: entry(name),
                params: LoadParams::default()
            })),
            Just(Request::Immediate(Immediate::Vocabulary)),
            Just(Request::Immediate(Immediate::Shutdown)),
            (any::<String>(), any::<bool>(), any::<bool>()).prop_map(|(text, special, begin)| {
                Request::Immediate(Immediate::Tokenize { text, special, begin })
            }),
            any::<u64>().prop_map(|id| Request::Immediate(Immediate::Cancel { target: RequestId(id) })),
            (prop::collection::vec(message(), 0..4), any::<bool>(), any::<i64>()).prop_map(
                |(messages, continue_last, clock_ms)| {
                    Request::Job(Job::Generate(Box::new(Generate {
                        prompt: Prompt::Chat {
                            messages,
                            continue_last,
                            setting: TemplateSetting { clock_ms, ..TemplateSetting::default() },
                        },
                        sampling: Sampling::default(),
                        top_logprobs: 20,
                        begun: 0,
                        interventions: Vec::new(),
                        allow: None,
                    })))
                }
            ),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        let candidate =
            (any::<i32>(), -30.0_f32..0.0).prop_map(|(id, logprob)| Candidate { id: TokenId(id), logprob });
        let id = prop::option::of(any::<i32>().prop_map(TokenId));
        (id, any::<Vec<u8>>(), -30.0_f32..0.0, any::<u32>(), prop::collection::vec(candidate, 0..20))
            .prop_map(|(id, bytes, logprob, rank, candidates)| Step {
                id,
                bytes,
                logprob,
                rank,
                entropy: 0.5,
                candidates,
                ms: 3.25,
                survivors: 7,
            })
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<(u32, String)>().prop_map(|(version, why)| Event::Ready {
                version,
                containment: Containment::Measures(vec![(Measure::Network, Held::Not(why))]),
            }),
            step().prop_map(|step| Event::Token(Box::new(step.into()))),
            any::<String>().prop_map(|message| Event::Failed(Failure { message, kind: FailureKind::Memory })),
            prop::collection::vec((any::<i32>(), any::<Vec<u8>>()), 0..5).prop_map(|tokens| {
                Event::Tokenized {
                    tokens: tokens.into_iter().map(|(id, bytes)| (TokenId(id), bytes.into())).collect(),
                }
            }),
            (any::<String>(), any::<u32>()).prop_map(|(text, seed)| Event::Prompt(PromptFacts {
                ids: vec![TokenId(3), TokenId(-1)],
                reused: 1,
                recalled: true,
                seed,
                text,
                notes: Vec::new(),
                left_out: Vec::new(),
            })),
            any::<u32>().prop_map(|count| Event::Done {
                stop: StopReason::Stop,
                usage: Usage { prompt_tokens: count, completion_tokens: 1, reused_tokens: 2 },
                timings: Timings { load_ms: 1.5, ..Timings::default() },
            }),
            any::<String>().prop_map(|how| Event::Exited(Exit { expected: true, how, ..Exit::default() })),
            Just(Event::Vocabulary(Box::new(Vocabulary {
                hash: "h".into(),
                blob: vec![0xf0, 0x9f],
                ends: vec![1, 2],
                kinds: vec![TokenKind::Byte, TokenKind::Control],
                suppressed: vec![TokenId(1)],
                marks: Vec::new(),
                learned: [(
                    TokenId(-7),
                    crate::token::Entry { bytes: b"met".to_vec(), kind: TokenKind::Normal }
                )]
                .into(),
            }))),
        ]
    }

    proptest! {
        #[test]
        fn any_request_comes_back_as_it_was(id: u64, request in request()) {
            let call = Call { id: RequestId(id), request };
            prop_assert_eq!(read::<Call>(&mut encode(&call).unwrap().as_slice()).unwrap(), Some(call));
        }

        #[test]
        fn any_event_comes_back_as_it_was(id: u64, event in event()) {
            let envelope = Envelope { id: RequestId(id), event };
            prop_assert_eq!(read::<Envelope>(&mut encode(&envelope).unwrap().as_slice()).unwrap(), Some(envelope));
        }

        #[test]
        fn a_cut_frame_is_an_error(event in event(), share in 0.0_f64..1.0) {
            let bytes = encode(&Envelope { id: RequestId(1), event }).unwrap();
            let cut = ((bytes.len() as f64 * share) as usize).clamp(1, bytes.len() - 1);
            prop_assert!(matches!(read::<Envelope>(&mut &bytes[..cut]), Err(FrameError::Cut)));
        }

        #[test]
        fn any_bytes_give_an_answer(bytes: Vec<u8>) {
            let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
            framed.extend(&bytes);
            let _ = read::<Envelope>(&mut framed.as_slice());
            let _ = read::<Call>(&mut bytes.as_slice());
        }

        #[test]
        fn a_flipped_byte_gives_an_answer(event in event(), at: prop::sample::Index, to: u8) {
            let mut bytes = encode(&Envelope { id: RequestId(1), event }).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = to;
            let _ = read::<Envelope>(&mut bytes.as_slice());
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_before_its_bytes_are_read() {
        let mut input: &[u8] = &[0xff, 0xff, 0xff, 0xff, 1, 2];
        assert!(matches!(read::<Envelope>(&mut input), Err(FrameError::TooLarge(0xffff_ffff))));
        assert_eq!(input, [1, 2]);
    }

    #[test]
    fn the_end_between_frames_is_no_error() {
        assert!(read::<Envelope>(&mut [].as_slice()).unwrap().is_none());
    }

    #[test]
    fn a_claimed_array_of_four_billion_entries_is_an_error() {
        // {"id": 1, "event": {"Tokenized": {"tokens": array32(0xffffffff)}}}
        let mut bytes = vec![0x82];
        for (text, then) in [
            ("id", [1].as_slice()),
            ("event", &[0x81]),
            ("Tokenized", &[0x81]),
            ("tokens", &[0xdd, 255, 255, 255, 255]),
        ] {
            bytes.push(0xa0 | text.len() as u8);
            bytes.extend(text.as_bytes());
            bytes.extend(then);
        }
        assert!(matches!(decode::<Envelope>(&bytes), Err(FrameError::Decode(_))));
    }

    #[test]
    fn deep_nesting_is_an_error() {
        assert!(matches!(decode::<Envelope>(&vec![0x81; 100_000]), Err(FrameError::Decode(_))));
        let mut unknown = vec![0x81, 0xa1, b'x'];
        unknown.extend(vec![0x91; 100_000]);
        assert!(matches!(decode::<Envelope>(&unknown), Err(FrameError::Decode(_))));
    }
}
