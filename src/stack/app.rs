//! What an app of the user's own is given: its command and its variables, with references that each target fills in. Pure.

use appforge_service::contract::{self, variable};

use crate::stack::Stack;
use crate::stack::template::{Reference, Template};
use crate::stack::values::CommandLine;

/// The variables that every app gets; a stack file cannot set them.
pub(crate) const GIVEN: [&str; 6] = [
    variable::PORT,
    HOST,
    variable::MONGODB_URI,
    variable::MONGODB_URI_FILE,
    variable::REDIS_URL,
    variable::REDIS_URL_FILE,
];
/// The address that an app should listen on.
pub(crate) const HOST: &str = "HOST";

/// Where an app of the user's own listens in its container or pod, unless the file says otherwise.
const APP_PORT: u16 = 8080;

impl Stack {
    /// Where an app of the user's own listens in its container or pod: none of the ports of its front.
    pub fn app_port(&self) -> u16 {
        let free = |port: &u16| {
            *port != self.service.port && ![contract::ADMIN_PORT, contract::ADMIN_PORT + 1].contains(port)
        };
        self.service.app_port.unwrap_or_else(|| (APP_PORT..).find(free).unwrap_or(APP_PORT))
    }
}

/// One variable of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppVariable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: Template,
    /// Where the stack file has it, such as `service.env.LOG`.
    pub(crate) path: String,
}

/// The variables of an app that listens on the address `host`, without the `*_FILE` ones, whose place is the target's.
pub(crate) fn variables(stack: &Stack, host: &str) -> Vec<AppVariable> {
    let given =
        |name: &str, value, path: &str| AppVariable { name: name.to_owned(), value, path: path.to_owned() };
    let mut all = vec![
        given(variable::PORT, Template::of(Reference::Port), "service.app_port"),
        given(HOST, Template::plain(host), "service"),
        given(variable::MONGODB_URI, Template::of(Reference::MongodbUri), "mongodb.uri"),
        given(variable::REDIS_URL, Template::of(Reference::RedisUrl), "redis.url"),
    ];
    for (name, value) in &stack.service.env {
        // What is malformed was refused by `validate`.
        let value = Template::parse(value).unwrap_or_else(|_| Template::plain(value));
        all.push(given(name, value, &format!("service.env.{name}")));
    }
    all
}

/// The words of a command for an app that listens on `port`.
pub(crate) fn words(command: &CommandLine, port: u16) -> Vec<String> {
    let fill = |text: &String| {
        // References to addresses were refused by `validate`: a command line can be read by every user of the machine.
        let template = Template::parse(text).unwrap_or_else(|_| Template::plain(text));
        template.fill(|reference| if reference == Reference::Port { port.to_string() } else { String::new() })
    };
    command.words(command.texts().iter().map(fill).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_gets_its_port_and_its_stores_and_what_the_file_says() {
        let mut stack = Stack::default();
        stack.service.env.insert("DATABASE_URL".into(), "${mongodb.uri}".into());
        let variables = variables(&stack, "127.0.0.1");
        let names: Vec<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["PORT", "HOST", "MONGODB_URI", "REDIS_URL", "DATABASE_URL"]);
        assert!(variables[4].value.is_secret());
    }

    #[test]
    fn port_is_filled_into_a_command() {
        let text = CommandLine::Text("uvicorn app:app --port ${port}".into());
        assert_eq!(words(&text, 7), ["uvicorn", "app:app", "--port", "7"]);
        let list = CommandLine::Words(vec!["./app".into(), "a ${port} b".into(), "$$HOME".into()]);
        assert_eq!(words(&list, 7), ["./app", "a 7 b", "$HOME"]);
        let shell = CommandLine::Text("./app $$HOME".into());
        assert_eq!(words(&shell, 7), ["sh", "-c", "exec ./app $HOME"]);
    }
}
