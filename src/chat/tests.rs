//! The tree of turns and their texts: which versions there are, where a branch ends, what a turn is made of.

use super::*;

/// A chat of turns given by id, parent, role and spans.
fn chat(turns: Vec<(i64, Option<i64>, Role, Vec<Span>)>) -> Conversation {
    let turns = turns.into_iter().map(|(id, parent, role, spans)| Turn {
        spans,
        ..Turn::new(TurnId(id), parent.map(TurnId), role, 0)
    });
    Conversation {
        head: ConversationHead::new(ConversationId(1)),
        settings: ChatSettings::default(),
        leaf: None,
        turns: turns.collect(),
        place: Place::default(),
    }
}

fn written(text: &str) -> Span {
    Span::Written { text: text.into() }
}

fn generated(words: &[&str]) -> Span {
    let step = |word: &&str| Step { bytes: word.as_bytes().to_vec(), ..Step::default() };
    Span::Generated { run: RunId(1), steps: words.iter().map(step).collect() }
}

fn ids(turns: &[i64]) -> Vec<TurnId> {
    turns.iter().copied().map(TurnId).collect()
}

#[test]
fn versions_have_one_parent_and_one_role_and_the_newest_leaf_is_not_deleted() {
    use Role::{Assistant, User};
    let mut chat = chat(vec![
        (1, None, User, vec![written("Hi")]),
        (2, Some(1), Assistant, vec![generated(&["a"])]),
        (3, Some(1), Assistant, vec![generated(&["b"])]),
        (4, Some(1), User, vec![written("again")]),
        (5, Some(2), User, vec![written("more")]),
        (6, None, User, vec![written("Hello")]),
    ]);
    assert_eq!(chat.versions(TurnId(2)), ids(&[2, 3]));
    assert_eq!(chat.versions(TurnId(4)), ids(&[4]));
    assert_eq!(chat.versions(TurnId(6)), ids(&[1, 6]));
    assert_eq!(chat.versions(TurnId(5)), ids(&[5]));
    assert_eq!(chat.newest_leaf(TurnId(1)), TurnId(4));
    assert_eq!(chat.newest_leaf(TurnId(2)), TurnId(5));
    for id in [3, 4] {
        chat.turn_mut(TurnId(id)).unwrap().deleted = true;
    }
    assert_eq!(chat.versions(TurnId(2)), ids(&[2]));
    assert_eq!(chat.newest_leaf(TurnId(1)), TurnId(5));
}

#[test]
fn a_turn_is_told_from_any_piece_on_as_from_the_first() {
    let kept = |turn, steps| Span::Kept { turn: TurnId(turn), steps };
    let chat = chat(vec![
        (1, None, Role::User, vec![written("Hi")]),
        (2, Some(1), Role::Assistant, vec![generated(&["a", "b", "c"])]),
        (3, Some(1), Role::Assistant, vec![kept(2, 2), written("X"), generated(&["d", "e"])]),
        (4, Some(1), Role::Assistant, vec![kept(3, 3), generated(&["f"]), written("Y")]),
    ]);
    for (id, bytes, count, kept) in [(2, "abc", 3, 0), (3, "abXde", 5, 2), (4, "abXdfY", 6, 3)] {
        let turn = chat.turn(TurnId(id)).unwrap();
        assert_eq!(chat.bytes(turn), bytes.as_bytes());
        assert_eq!((chat.piece_count(turn), turn.kept_steps()), (count, kept), "{bytes}");
        let all = chat.pieces(turn);
        assert_eq!(all.len(), count);
        for skip in 0..=count + 1 {
            assert_eq!(chat.pieces_from(turn, skip), all[skip.min(count)..], "{bytes} from {skip}");
        }
    }
}

#[test]
fn a_character_that_is_not_whole_is_held_back_while_more_may_come() {
    let check = |bytes: &[u8], tail| assert_eq!(unfinished_tail(bytes), tail, "{bytes:x?}");
    check(b"", 0);
    check(b"a", 0);
    check("aé".as_bytes(), 0);
    check(b"a\xc3", 1);
    check(b"a\xe2\x82", 2);
    check(b"\xf0\x9f\x98", 3);
    // What can never become one, and what is none.
    check(b"a\xff", 0);
    check(b"a\xc3\x28", 0);
    check(b"\x82\x82\x82\x82", 0);
    check(b"\xe2\x28\x82", 0);
    assert_eq!(whole_text(b"a\xe2\x82", true), "a");
    assert_eq!(whole_text(b"a\xe2\x82", false), "a\u{fffd}");
    let spans = vec![
        generated(&["a"]),
        Span::Generated { run: RunId(2), steps: vec![Step { bytes: vec![0xc3], ..Step::default() }] },
    ];
    let mut turn = Turn { spans, ..Turn::new(TurnId(1), None, Role::Assistant, 0) };
    turn.state = TurnState::Streaming;
    assert_eq!(turn.text(), "a");
    turn.state = TurnState::Done;
    assert_eq!(turn.text(), "a\u{fffd}");
}

#[test]
fn a_title_is_the_first_line_as_far_as_it_fits() {
    let check = |message: &str, title: &str| assert_eq!(title_of(message), title);
    check("\n  two   words \nmore", "two words");
    check(&"x".repeat(60), &"x".repeat(60));
    check(&"x".repeat(61), &format!("{}…", "x".repeat(59)));
    check(&format!("{} y and more", "x".repeat(58)), &format!("{}…", "x".repeat(58)));
}

#[test]
fn tags_are_words_once_each_in_small_letters() {
    assert_eq!(Marks::tags_in(" #Work, work\tÄpfel ##a\u{7}b # ,"), ["ab", "work", "äpfel"]);
}
