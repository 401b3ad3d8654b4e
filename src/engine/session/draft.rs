//! A smaller model with the same vocabulary, which guesses how a text goes on.
//!
//! Invariant: what it guesses depends on the tokens alone. It changes how many passes a reply takes, never what the reply
//! says: whoever asks draws each token from the larger model's own distribution.

use llama_cpp_2::token::LlamaToken;

use super::{Halt, Session};
use crate::engine::compute::numbers::Reader;
use crate::engine::model::loaded::LoadedModel;
use crate::engine::protocol::{Failure, FailureKind};
use crate::token::TokenId;

/// How likely what guesses has to think a token, for it to be guessed.
const SURE: f32 = 0.75;

/// The smaller model.
pub struct DraftModel {
    session: Box<Session>,
    reader: Reader,
}

impl DraftModel {
    /// For replies of `session`.
    ///
    /// # Errors
    /// Where its tokens are others, or its past cannot be cut.
    pub fn new(draft: Session, session: &Session) -> Result<Self, Failure> {
        let (its, mine) = (&draft.model().vocabulary, &session.model().vocabulary);
        let why = if let Some(unlike) = mine.unlike(its) {
            format!("it {unlike}")
        } else if !draft.can_be_cut() || !session.can_be_cut() {
            "what a recurrent model has read cannot be taken back".to_owned()
        } else {
            return Ok(Self { session: Box::new(draft), reader: Reader::default() });
        };
        Err(Failure { message: why, kind: FailureKind::Other })
    }

    /// How a text goes on, as far as the model is sure of it: at most `most` tokens.
    pub(super) fn guess(&mut self, ids: &[TokenId], most: usize) -> Result<Vec<TokenId>, Halt> {
        let Self { session, reader } = self;
        let most = most.min(session.limit().saturating_sub(ids.len()));
        let mut guess = Vec::new();
        if most == 0 {
            return Ok(guess);
        }
        let from = session.reuse(ids, &[]);
        session.read(ids, from, |_, _| {})?;
        while let Some(id) = sure(session.model(), session.logits(), reader) {
            guess.push(id);
            if guess.len() == most {
                break;
            }
            session.step(id)?;
        }
        Ok(guess)
    }

    pub(super) fn reset(&mut self) {
        self.session.reset();
    }
}

/// The next token, if there is little doubt about it; never the end of a reply.
pub(super) fn sure(model: &LoadedModel, logits: &[f32], reader: &mut Reader) -> Option<TokenId> {
    let distribution = reader.read(logits, 1)?;
    let likeliest = reader.top().first()?;
    let sure = distribution.logprob(likeliest.logit).exp() >= SURE;
    let ends = model.model.vocab().is_eog(LlamaToken(likeliest.id.0));
    (sure && !ends).then_some(likeliest.id)
}
