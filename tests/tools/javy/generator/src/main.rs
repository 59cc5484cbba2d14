//! What Javy's command-line tool does, made of the crates that it is made of:
//!
//! ```text
//! portreeve-javy init-plugin PLUGIN OUT     the plug-in as it is once its engine has started
//! portreeve-javy build PLUGIN SCRIPT OUT    a module of a started plug-in and a script's bytecode
//! ```
//!
//! Both give the same bytes for the same input.
use std::{env, fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use deterministic_wasi_ctx::add_determinism_to_wasi_ctx_builder;
use javy_codegen::{Generator, JS, LinkingKind, Plugin, SourceEmbedding};
use wasmtime::{Engine, Linker, Store};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wizer::Wizer;

/// The linker writes indices with room to spare, which Wizer doesn't read; Binaryen writes them short.
fn with_short_indices(plugin: &Path, out: &Path) -> Result<Vec<u8>> {
    wasm_opt::OptimizationOptions::new_opt_level_0()
        .debug_info(false)
        .run(plugin, out)?;
    Ok(fs::read(out)?)
}

async fn init_plugin(plugin: &Path, out: &Path) -> Result<()> {
    let plugin = with_short_indices(plugin, out)?;
    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stderr();
    add_determinism_to_wasi_ctx_builder(&mut wasi);
    let mut store = Store::new(&Engine::default(), wasi.build_p1());
    let started = Wizer::new()
        .init_func("initialize-runtime")
        // The module that is made of the plug-in starts the engine again, with a configuration of its own.
        .keep_init_func(true)
        .run(&mut store, &plugin, async |store, module| {
            let mut linker = Linker::new(store.engine());
            wasmtime_wasi::p1::add_to_linker_async(&mut linker, |wasi| wasi)?;
            linker.define_unknown_imports_as_traps(module)?;
            linker.instantiate_async(store, module).await
        })
        .await?;
    Plugin::validate(&started)?;
    Ok(fs::write(out, started)?)
}

async fn build(plugin: &Path, script: &Path, out: &Path) -> Result<()> {
    let mut generator = Generator::new(Plugin::new_from_path(plugin)?);
    generator
        .linking(LinkingKind::Static)
        .source_embedding(SourceEmbedding::Omitted)
        .deterministic(true);
    let module = generator.generate(&JS::from_file(script)?).await?;
    Ok(fs::write(out, module)?)
}

async fn run(words: &[String]) -> Result<()> {
    let paths: Vec<&Path> = words.iter().skip(1).map(Path::new).collect();
    match (words.first().map(String::as_str), paths.as_slice()) {
        (Some("init-plugin"), [plugin, out]) => init_plugin(plugin, out).await,
        (Some("build"), [plugin, script, out]) => build(plugin, script, out).await,
        _ => bail!("usage: portreeve-javy init-plugin PLUGIN OUT | portreeve-javy build PLUGIN SCRIPT OUT"),
    }
    .with_context(|| words.join(" "))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match run(&words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
