//! Stands in for the crate `wasm-opt`, which compiles all of Binaryen's C++: what Javy's generator asks of it, by the same program
//! from npm. `WASM_OPT` names it.
use std::{env, io, path::Path, process::Command};

/// How much is given for a smaller module.
pub enum ShrinkLevel {
    /// Nothing.
    Level0,
}

/// The options of one run.
pub struct OptimizationOptions {
    words: Vec<&'static str>,
}

impl OptimizationOptions {
    fn of(level: &'static str) -> Self {
        // What rustc and Clang use for this target, and nothing newer.
        let features = [
            "--mvp-features",
            "--enable-bulk-memory",
            "--enable-bulk-memory-opt",
            "--enable-call-indirect-overlong",
            "--enable-multivalue",
            "--enable-mutable-globals",
            "--enable-nontrapping-float-to-int",
            "--enable-reference-types",
            "--enable-sign-ext",
        ];
        Self {
            words: [&[level, "--quiet"][..], &features].concat(),
        }
    }

    /// Writes the module anew.
    pub fn new_opt_level_0() -> Self {
        Self::of("--optimize-level=0")
    }

    /// Optimises for speed.
    pub fn new_opt_level_3() -> Self {
        Self::of("-O3")
    }

    pub fn shrink_level(&mut self, level: ShrinkLevel) -> &mut Self {
        match level {
            ShrinkLevel::Level0 => self.words.push("--shrink-level=0"),
        }
        self
    }

    pub fn debug_info(&mut self, keep: bool) -> &mut Self {
        if keep {
            self.words.push("--debuginfo");
        }
        self
    }

    pub fn run(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let program =
            env::var("WASM_OPT").map_err(|_| io::Error::other("WASM_OPT must name Binaryen's wasm-opt"))?;
        let status = Command::new(&program)
            .args(&self.words)
            .arg(from.as_ref())
            .arg("-o")
            .arg(to.as_ref())
            .status()
            .map_err(|error| io::Error::other(format!("cannot run {program}: {error}")))?;
        if !status.success() {
            return Err(io::Error::other(format!("{program} ended with {status}")));
        }
        Ok(())
    }
}
