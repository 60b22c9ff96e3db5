//! What `docker login` left for a registry: in Docker's `config.json`, or with the helper that it names. Reads only.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::files;
use crate::stack::values::Secret;

/// How long a helper may take; it may ask the user to unlock a keychain.
const HELPER: Duration = Duration::from_secs(30);
/// The user name that says that the secret is a token.
const TOKEN: &str = "<token>";

/// How to be known to a registry.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// A user with a password.
    Password(String, Secret),
    /// A token that the registry's token service takes.
    Token(Secret),
}

/// The credentials for what `docker login` calls `login`; `None` when there are none.
///
/// # Errors
/// When `config.json` cannot be read, or its helper cannot be asked.
pub(crate) async fn find(login: &str) -> Result<Option<Credentials>> {
    let folder = env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let Some(file) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let Some(text) = files::read_if_there(&file)? else { return Ok(None) };
    let config: Value =
        serde_json::from_str(&text).with_context(|| format!("`{}` is not valid JSON", file.display()))?;
    let helper = config["credHelpers"][login].as_str().or(config["credsStore"].as_str());
    match helper {
        Some(helper) => ask(helper, login).await,
        None => stored(&config, login).with_context(|| format!("cannot read `{}`", file.display())),
    }
}

/// What the file itself has. Older versions of Docker wrote the host as a URL.
fn stored(config: &Value, login: &str) -> Result<Option<Credentials>> {
    let mut entries = config["auths"].as_object().into_iter().flatten();
    let host = |name: &str| {
        let name = name.trim_start_matches("https://").trim_start_matches("http://");
        name.split('/').next().unwrap_or_default().to_owned()
    };
    let named = entries.find(|(name, _)| *name == login || host(name) == host(login));
    let Some((_, entry)) = named else { return Ok(None) };
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credentials::Token(Secret::new(token))));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Credentials::Password(user.to_owned(), Secret::new(password))));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let pair = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = pair.context("`auth` is not the Base64 of user and password")?;
    let (user, password) = pair.split_once(':').context("`auth` has no password")?;
    Ok(Some(Credentials::Password(user.to_owned(), Secret::new(password.trim_end_matches('\0')))))
}

/// Asks `docker-credential-HELPER`. A helper that has nothing fails, so its failure means no credentials.
async fn ask(helper: &str, login: &str) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{helper}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!("cannot start the credential helper `{program}` (set in Docker's config.json)")
        })?;
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not want to hear says so by how it ends.
            let _ = stdin.write_all(login.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let Ok(output) = tokio::time::timeout(HELPER, talk).await else {
        bail!("`{program}` did not answer within {}s", HELPER.as_secs());
    };
    let output = output.with_context(|| format!("cannot read the answer of `{program}`"))?;
    if !output.status.success() {
        return Ok(None);
    }
    let answer: Value = serde_json::from_slice(&output.stdout)
        .ok()
        .with_context(|| format!("`{program}` did not answer with JSON"))?;
    let (user, secret) = (answer["Username"].as_str(), answer["Secret"].as_str());
    Ok(match (user, secret) {
        (Some(TOKEN), Some(secret)) => Some(Credentials::Token(Secret::new(secret))),
        (Some(user), Some(secret)) => Some(Credentials::Password(user.to_owned(), Secret::new(secret))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_file_of_docker_is_read() {
        let found = |entry: Value, login: &str| match stored(&json!({"auths": entry}), login).unwrap() {
            Some(Credentials::Password(user, password)) => format!("{user}:{}", password.reveal()),
            Some(Credentials::Token(token)) => token.reveal().to_owned(),
            None => "none".to_owned(),
        };
        let auth = STANDARD.encode("me:a:b");
        assert_eq!(found(json!({"r.example:5000": {"auth": auth}}), "r.example:5000"), "me:a:b");
        assert_eq!(found(json!({"https://r.example/v2/": {"auth": auth}}), "r.example"), "me:a:b");
        assert_eq!(found(json!({"r.example": {"auth": auth, "identitytoken": "t"}}), "r.example"), "t");
        assert_eq!(found(json!({"r.example": {}}), "r.example"), "none");
        assert_eq!(found(json!({"other": {"auth": auth}}), "r.example"), "none");
        let error = stored(&json!({"auths": {"r": {"auth": "c2VjcmV0!"}}}), "r").unwrap_err();
        assert!(!format!("{error:#}").contains("c2VjcmV0"), "no secret in an error");
    }
}
