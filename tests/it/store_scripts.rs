//! The scripts that the rendered stores run, by a real shell and a real server.

use std::process::Command;

use appforge_testing::peer::{self, Server};
use serde_json::Value;

use crate::support::Project;

mod mongodb;

/// A password that a shell or a configuration file would take for something else.
const PASSWORD: &str = "p\"a\\ss $word#'";

fn data(project: &Project, document: &str) -> Vec<(String, String)> {
    let object: Value = serde_yaml::from_str(&project.read(&format!("deploy/{document}"))).unwrap();
    let data = object["data"].as_object().unwrap();
    data.iter().map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_shell_can_read_every_script() {
    for topology in ["single", "sentinel"] {
        let project = Project::with(&format!("target: kubernetes\nredis: {{topology: {topology}}}\n"));
        project.done(&["render"]);
        let mut read = 0;
        for document in ["redis-configmap.yaml", "mongodb-configmap.yaml"] {
            for (name, text) in data(&project, document).iter().filter(|(name, _)| name.ends_with(".sh")) {
                project.write(name, text);
                let output = Command::new("sh").arg("-n").arg(project.path().join(name)).output().unwrap();
                assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
                read += 1;
            }
        }
        assert_eq!(read, if topology == "single" { 4 } else { 6 });
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn rendered_redis_requires_the_password() {
    let program = peer::valkey_program();
    let project = Project::with("target: kubernetes\n");
    project.done(&["render"]);
    for folder in ["etc", "run", "secrets", "data", "bin"] {
        std::fs::create_dir(project.path().join(folder)).unwrap();
    }
    project.write("secrets/password", PASSWORD);
    std::os::unix::fs::symlink(program, project.path().join("bin/redis-server")).unwrap();
    let at = |folder: &str| project.path().join(folder).display().to_string();
    let server = Server::shell(|port| {
        for (name, text) in data(&project, "redis-configmap.yaml") {
            let text = text
                .replace("/run/secrets/redis", &at("secrets"))
                .replace("/run/redis", &at("run"))
                .replace("/etc/redis", &at("etc"))
                .replace("dir /data", &format!("dir {}", at("data")))
                .replace("port 6379", &format!("port {port}"));
            project.write(&format!("etc/{name}"), &text);
        }
        format!("PATH={}:$PATH exec sh {}/start.sh", at("bin"), at("etc"))
    })
    .started();
    let mut info =
        redis::IntoConnectionInfo::into_connection_info(format!("redis://127.0.0.1:{}", server.port))
            .unwrap();
    let client = redis::Client::open(info.clone()).unwrap();
    let mut stranger = client.get_multiplexed_async_connection().await.unwrap();
    let refused = redis::cmd("PING").query_async::<String>(&mut stranger).await.unwrap_err();
    assert_eq!(refused.code(), Some("NOAUTH"));
    for user in ["default", "appforge"] {
        let login = info.redis_settings().clone().set_username(user).set_password(PASSWORD);
        info = info.set_redis_settings(login);
        let client = redis::Client::open(info.clone()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        for (setting, want) in [
            ("maxmemory", "1431306240"),
            ("maxmemory-policy", "allkeys-lru"),
            ("appendonly", "yes"),
            ("save", ""),
        ] {
            let (_, value): (String, String) =
                redis::cmd("CONFIG").arg("GET").arg(setting).query_async(&mut connection).await.unwrap();
            assert_eq!(value, want, "{user}: {setting}");
        }
    }
}

/// What a partition leaves: a master without its replicas.
#[tokio::test]
#[ignore = "needs valkey"]
async fn sentinel_master_refuses_writes_without_replicas() {
    let program = peer::valkey_program();
    for (settings, refuses) in [("", true), (", min_replicas: 2", true), (", min_replicas: 0", false)] {
        let stack = format!("target: kubernetes\nredis: {{topology: sentinel{settings}}}\n");
        let project = Project::with(&stack);
        project.done(&["render"]);
        let (_, conf) = data(&project, "redis-configmap.yaml").swap_remove(0);
        let lines: Vec<&str> = conf.lines().filter(|line| line.starts_with("min-replicas")).collect();
        assert_eq!(lines.len(), if refuses { 2 } else { 0 }, "{conf}");
        project.write("master.conf", &(lines.join("\n") + "\n"));
        let (file, program) = (project.path().join("master.conf"), &program);
        let server = Server::shell(|port| {
            format!("exec {} {} --port {port} --save ''", program.display(), file.display())
        })
        .started();
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let written = redis::cmd("INCR").arg("count").query_async::<u32>(&mut connection).await;
        let refusal = written.err().and_then(|error| error.code().map(str::to_owned));
        assert_eq!(refusal.as_deref(), refuses.then_some("NOREPLICAS"), "{settings}");
        let pdb: Value = serde_yaml::from_str(&project.read("deploy/redis-pdb.yaml")).unwrap();
        assert_eq!(pdb["spec"]["maxUnavailable"], 1);
    }
}
