//! Writes what the fuzzer begins with, and prints the names of all targets: `tidelog-fuzz-seeds DIR` makes `DIR/corpus/TARGET/seed-N` and the
//! words of its language in `DIR/dictionary/TARGET`. Other inputs that are there stay.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

use tidelog_fuzz::TARGETS;

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dictionaries = folder.join("dictionary");
    fs::create_dir_all(&dictionaries)?;
    for target in TARGETS {
        let corpus = folder.join("corpus").join(target.name);
        fs::create_dir_all(&corpus)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
        fs::write(dictionaries.join(target.name), dictionary(target.words))?;
        writeln!(io::stdout(), "{}", target.name)?;
    }
    Ok(())
}

/// Words as libFuzzer reads them: each in quotes, in hexadecimal.
fn dictionary(words: &[&str]) -> String {
    // One without anything is no dictionary to libFuzzer.
    let mut text = String::from("# words\n");
    for word in words {
        text.push('"');
        for byte in word.bytes() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
        text.push_str("\"\n");
    }
    text
}
