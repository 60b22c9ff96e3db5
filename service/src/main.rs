//! The service as a program of its own.

fn main() -> std::process::ExitCode {
    appforge_service::main()
}
