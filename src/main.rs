//! The `appforge` binary: hands over to the library.

fn main() -> std::process::ExitCode {
    appforge::main().into()
}
