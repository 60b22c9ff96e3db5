//! The rules of an app of the user's own. Pure.

use appforge_service::contract::CLOUDFLARE;
use appforge_service::network::Network;

use crate::stack::model::{Stack, TargetKind};
use crate::stack::service::ShellEnvironment;
use crate::stack::template::{Part, Reference, Template};
use crate::stack::validate::violations::Violations;
use crate::stack::values::CommandLine;

/// What `rate_limit.trusted_proxies` takes besides networks.
const PROXIES: &str = "a network such as `10.0.0.0/8`, `cloudflare`, or `file:PATH`";

pub(super) fn app(stack: &Stack, violations: &mut Violations) {
    let service = &stack.service;
    if !service.is_own() {
        without_app(stack, violations);
        return;
    }
    runnable(stack, violations);
    for (path, command) in [("service.command", &service.command), ("service.release", &service.release)] {
        if let Some(command) = command {
            words(path, command, violations);
        }
    }
    for (name, value) in &service.env {
        if let Err(message) = Template::parse(value) {
            violations.add(format!("service.env.{name}"), message);
        }
    }
    if let Some(health) = &service.health {
        let path = &health.path;
        let fits = path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic());
        violations.expect("service.health", path, fits, "a path such as `/healthz`");
        let fits = !health.host.is_empty() && health.host.chars().all(|c| c.is_ascii_graphic() && c != '/');
        violations.expect("service.health.host", &health.host, fits, "a host name such as `localhost`");
    }
    if let Some(port) = service.app_port {
        violations.within("service.app_port", port, 1, u16::MAX);
        if port == service.port {
            let message = format!("must differ from `service.port` ({port}), where the front listens");
            violations.add("service.app_port", message);
        }
        if stack.target == TargetKind::Local && service.replicas > 1 {
            let message = format!(
                "must be 1 on the target local with service.app_port, got {}: two apps cannot listen on one port; let the app read PORT",
                service.replicas
            );
            violations.add("service.replicas", message);
        }
    }
    violations.within("service.processes", service.processes, 1, 1024);
    if let Some(pids) = service.pids {
        violations.within("service.pids", pids, 8, 4_194_304);
    }
    for (path, text) in [("service.env_file", &service.env_file), ("service.build", &service.build)] {
        if let Some(text) = text {
            violations.expect(path, text, !text.is_empty() && !text.contains('\0'), "a path");
        }
    }
}

/// Each target runs something else: local a command, the others an image.
fn runnable(stack: &Stack, violations: &mut Violations) {
    let service = &stack.service;
    let own_image = !service.image.is_bundled();
    if own_image && service.build.is_some() {
        violations.add("service.build", "must not be set together with an `image` of your own");
    }
    match stack.target {
        TargetKind::Local if service.command.is_none() => {
            let message = "must be set on the target local, which runs it without a container";
            violations.add("service.command", message);
        }
        TargetKind::Compose if !own_image && service.build.is_none() => {
            let message = "must name the image of your app on the target compose, or set `service.build`";
            violations.add("service.image", message);
        }
        TargetKind::Kubernetes if !own_image => {
            let message = "must name the image of your app on the target kubernetes";
            violations.add("service.image", message);
        }
        _ => {}
    }
}

fn words(path: &str, command: &CommandLine, violations: &mut Violations) {
    if command.texts().iter().all(|text| text.trim().is_empty())
        || command.texts().first().is_some_and(|first| first.trim().is_empty())
    {
        violations.add(path, "must name a program");
    }
    for text in command.texts() {
        if text.contains('\0') {
            violations.add(path, "must not contain a NUL character");
        }
        match Template::parse(text) {
            Err(message) => violations.add(path, message),
            Ok(template) => {
                let reference = template.parts().iter().find_map(|part| match part {
                    Part::Reference(reference) if reference.is_secret() => Some(*reference),
                    _ => None,
                });
                if let Some(reference) = reference {
                    violations.add(path, exposed(reference));
                }
            }
        }
    }
}

fn exposed(reference: Reference) -> String {
    let name = reference.name();
    format!(
        "`${{{name}}}` would show a password to every user of the machine; read it from a variable, set in `service.env`"
    )
}

/// Keys that say nothing about the bundled service.
fn without_app(stack: &Stack, violations: &mut Violations) {
    let service = &stack.service;
    let set = [
        ("service.health", service.health.is_some()),
        ("service.app_port", service.app_port.is_some()),
        ("service.processes", service.processes != 1),
        ("service.workdir", service.workdir.is_some()),
        ("service.environment", service.environment != ShellEnvironment::Inherit),
        ("service.env_file", service.env_file.is_some()),
        ("service.release", service.release.is_some()),
        ("service.egress", !service.egress.is_empty()),
        ("service.run_as", service.run_as.is_some()),
        ("service.writable", !service.writable.is_empty()),
    ];
    for (path, _) in set.iter().filter(|(_, set)| *set) {
        violations.add(*path, "applies only to an app of your own; set `service.command` or `service.image`");
    }
}

/// Whether an entry of `rate_limit.trusted_proxies` can be read.
pub(super) fn trusted_proxy(entry: &str, violations: &mut Violations) {
    let fits = entry == CLOUDFLARE
        || entry.strip_prefix("file:").is_some_and(|path| !path.is_empty())
        || entry.parse::<Network>().is_ok();
    violations.expect("rate_limit.trusted_proxies", entry, fits, PROXIES);
}
