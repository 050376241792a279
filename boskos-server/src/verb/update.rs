//! `/update`: the heartbeat, and user data.

use boskos_core::{
    Owner, ResourceName, State,
    ranch::command::{Command, Reply as Answered, Update},
    user_data::UserDataPatch,
};
use serde::Deserialize as _;
use serde_json::error::Category;

use super::{bad_request, escapes::without_lone_surrogates, params, refused, unexpected};
use crate::{
    app::App,
    http::{Reply, RequestBody},
};

pub(crate) async fn answer(app: &App, query: &str, body: RequestBody) -> Reply {
    let [name, owner, state] = params::values(query, ["name", "owner", "state"]);
    if name.is_empty() || owner.is_empty() || state.is_empty() {
        return bad_request(format!(
            "Name: {name}, owner: {owner}, state : {state}, all of them must be set in the request."
        ));
    }
    let body = match body.read().await {
        Ok(body) => body,
        Err(error) => return error.reply(),
    };
    let patch = match patch_of(&body) {
        Ok(patch) => patch,
        Err(error) => {
            return bad_request(format!("the body must be a JSON object of string to string: {}", fault(&error)));
        }
    };
    let command =
        Update { name: ResourceName::from(&*name), owner: Owner::from(&*owner), state: State::from(&*state), patch };
    match app.steward.call(Command::Update(command)).await.open().0 {
        Answered::Done => Reply::empty(),
        Answered::Refused(refusal) => refused(&format!("Update failed: {name} - {state} ({owner})"), &refusal),
        _ => unexpected("Update"),
    }
}

/// The first JSON value in the body, which is all that counts; nothing and `null` change nothing.
fn patch_of(body: &[u8]) -> Result<UserDataPatch, serde_json::Error> {
    let text = String::from_utf8_lossy(body);
    first_value(&text).or_else(|error| match without_lone_surrogates(&text) {
        Some(mended) => first_value(&mended),
        None => Err(error),
    })
}

fn first_value(text: &str) -> Result<UserDataPatch, serde_json::Error> {
    if text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        return Ok(UserDataPatch::new());
    }
    // Not as one of several: those would have to be told apart.
    let mut value = serde_json::Deserializer::from_str(text);
    Ok(Option::deserialize(&mut value)?.unwrap_or_default())
}

/// What is wrong, and where, without quoting it: values are secrets.
fn fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "it ends too soon",
        Category::Data => "something else",
        Category::Syntax | Category::Io => "not JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::{fault, patch_of};

    #[test]
    fn the_first_json_value_counts() {
        for (body, changes) in [
            ("", 0),
            (" \r\n\t", 0),
            ("null", 0),
            ("nullrest", 0),
            ("{}", 0),
            (r#"{"a":"b"}"#, 1),
            (r#"{"a":"b"} rest"#, 1),
            (r#"{"a":"b"}null"#, 1),
        ] {
            assert_eq!(patch_of(body.as_bytes()).unwrap().len(), changes, "{body}");
        }
        assert_eq!(patch_of(br#"{"a":null}"#).unwrap()["a"], None);
        assert_eq!(patch_of(br#"{"\ud800":"\udc00"} rest"#).unwrap()["\u{fffd}"].as_deref(), Some("\u{fffd}"));
        assert_eq!(patch_of(br#"{"a":"1","a":"2"}"#).unwrap()["a"].as_deref(), Some("2"));
    }

    #[test]
    fn other_values_are_refused_and_not_quoted() {
        for (body, said) in [
            ("[]", "something else at line 1 column 0"),
            ("7777", "something else at line 1 column 4"),
            ("xyz", "not JSON at line 1 column 1"),
            (r#"{"a":7777}"#, "something else at line 1 column 9"),
            (r#"{"a":{}}"#, "something else at line 1 column 5"),
            (r#"{"a":"xyz""#, "it ends too soon at line 1 column 10"),
            (r#""xyz""#, "something else at line 1 column 5"),
            (r#"{"a":"\ud800","b":7777}"#, "something else at line 1 column 22"),
        ] {
            assert_eq!(fault(&patch_of(body.as_bytes()).unwrap_err()), said, "{body}");
        }
    }
}
