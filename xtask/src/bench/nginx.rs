//! nginx from Debian, as a peer: `limit_req` counts in the memory of one machine, in C, and writes no headers of a limit.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::process::{Core, Server, free_port, pinned};
use crate::debian;

/// As long as the service's own answer.
const BODY: &str = concat!(
    r#"{"status":"ok","version":"0.1.0","replica":"service-1","mongodb":{"status":"up","pool":{"max":50,"min":10,"#,
    r#""open":1,"in_use":0}},"redis":{"status":"up","mode":"shared"}}"#
);

/// A running nginx with one worker.
pub(super) struct Nginx {
    server: Server,
}

impl Nginx {
    /// Downloads it if need be and starts it on the server's core.
    pub(super) fn start(work: &Path, folder: &Path) -> Result<Self> {
        let unpacked = debian::unpack(work, &["nginx"], None)?;
        fs::create_dir_all(folder.join("www"))?;
        for route in ["pass", "block"] {
            fs::write(folder.join("www").join(route), BODY)?;
        }
        let port = free_port()?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(folder, port))?;
        let program: PathBuf = unpacked.join("usr/sbin/nginx");
        let mut command = pinned(Core::Server, &program);
        command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file);
        Ok(Self { server: Server::start(&mut command, port)? })
    }

    /// `/plain` answers without a limit, `/pass` lets all through, `/block` refuses nearly all.
    pub(super) fn url(&self, route: &str) -> String {
        format!("http://127.0.0.1:{}{route}", self.server.port)
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "user root;
daemon off;
worker_processes 1;
pid {folder}/pid;
events {{ worker_connections 2048; }}
http {{
{temporary}    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    limit_req_status 429;
    limit_req_log_level info;
    limit_req_zone $http_x_forwarded_for zone=pass:32m rate=1000000r/s;
    limit_req_zone $http_x_forwarded_for zone=block:32m rate=1r/m;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        location = /plain {{ return 200 '{BODY}'; }}
        location = /pass {{ limit_req zone=pass burst=100000 nodelay; }}
        location = /block {{ limit_req zone=block; }}
    }}
}}
"
    )
}
