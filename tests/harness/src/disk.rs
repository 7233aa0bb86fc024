//! Small file systems of their own: they can be full, and they can stop taking writes under files that are open.
//!
//! Each is a file with ext4 in it, mounted through a loop device; where there are no loop devices, a file system in memory, which can be full
//! but refuses to be made read-only while files are open for writing. Both need root and the right to mount.
//!
//! **Who unmounts it.** As with servers: a small shell process holds the read end of a pipe whose write end only the test process has. When
//! the test process ends in any way, it waits until nobody uses the file system any more, unmounts it and removes what is left. What even that
//! one could not do (it was killed too), the next test process does when it starts its first disk.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

const PREFIX: &str = "tidelog-disk-";
/// Where the file system is, in the directory of a disk.
const MOUNTED: &str = "fs";
/// The file that holds an ext4 file system.
const IMAGE: &str = "image";
/// Held while the process that mounted it lives.
const LOCK: &str = "lock";
/// Processes that were killed need a moment until their files are closed.
const BUSY: Duration = Duration::from_secs(20);
/// Sizes of the files that take what room is left, in bytes.
const BALLAST: [u64; 4] = [64 << 20, 4 << 20, 256 << 10, 4 << 10];

/// What kinds of disk can be had here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 in a file: it can be full, and it can stop taking writes.
    Ext4,
    /// In memory: it can be full.
    Memory,
}

/// A file system of its own. Dropping it unmounts and removes it.
#[derive(Debug)]
pub struct Disk {
    directory: PathBuf,
    kind: FileSystem,
    watchdog: Mutex<Child>,
    _lock: File,
}

impl Disk {
    /// What disks can be had here; otherwise why none can.
    pub fn possible() -> Result<FileSystem, &'static str> {
        static POSSIBLE: OnceLock<Result<FileSystem, String>> = OnceLock::new();
        let found = POSSIBLE.get_or_init(|| {
            sweep();
            let tried = Self::tried(FileSystem::Ext4).or_else(|error| {
                Self::tried(FileSystem::Memory).map_err(|second| format!("{error:#}; {second:#}"))
            });
            tried.map_err(|text| text.replace('\n', " "))
        });
        match found {
            Ok(kind) => Ok(*kind),
            Err(text) => Err(text),
        }
    }

    fn tried(kind: FileSystem) -> Result<FileSystem> {
        let disk = Self::mount(kind, 8)?;
        if kind == FileSystem::Ext4 {
            disk.refuse_writes()?;
            ensure!(
                disk.is_read_only().is_some(),
                "ext4 takes writes after an error"
            );
        }
        Ok(kind)
    }

    /// Makes an empty one of so many MiB.
    pub fn start(mib: u32) -> Result<Self> {
        let kind = Self::possible().map_err(|text| anyhow::anyhow!("no disk: {text}"))?;
        Self::mount(kind, mib)
    }

    fn mount(kind: FileSystem, mib: u32) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir()?.keep();
        let lock = File::create(directory.join(LOCK))?;
        lock.try_lock().context("lock a disk")?;
        let watchdog = start_watchdog(&directory)?;
        let disk = Self {
            kind,
            watchdog: Mutex::new(watchdog),
            _lock: lock,
            directory,
        };
        std::fs::create_dir(disk.path())?;
        match kind {
            FileSystem::Ext4 => {
                let image = disk.directory.join(IMAGE);
                File::create(&image)?.set_len(u64::from(mib) << 20)?;
                // No reserve for root, who writes here.
                let mut format = Command::new("mkfs.ext4");
                format.args(["-q", "-F", "-m", "0", "-b", "4096", "-E", "nodiscard"]);
                done(format.arg(&image))?;
                disk.mount_image()?;
            }
            FileSystem::Memory => {
                let mut mount = Command::new("mount");
                mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tidelog-disk"]);
                done(mount.arg(disk.path()))?;
            }
        }
        Ok(disk)
    }

    fn mount_image(&self) -> Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", "loop,errors=remount-ro"]);
        done(mount.arg(self.directory.join(IMAGE)).arg(self.path()))
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.join(MOUNTED)
    }

    /// What it is.
    pub fn kind(&self) -> FileSystem {
        self.kind
    }

    /// Flushes all that was written.
    pub fn flush(&self) -> Result<()> {
        done(Command::new("sync").arg("--file-system").arg(self.path()))
    }

    /// Takes all room that is left, with files of its own; how many bytes that was.
    pub fn fill(&self) -> Result<u64> {
        let mut taken = 0;
        for size in BALLAST {
            loop {
                let file = self.path().join(format!("ballast-{taken}"));
                let mut allocate = Command::new("fallocate");
                allocate.args(["--length", &size.to_string()]).arg(&file);
                let output = allocate
                    .process_group(0)
                    .output()
                    .context("run fallocate")?;
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr);
                    ensure!(said.contains("No space left"), "fallocate: {said}");
                    // What a failed one got stays its own otherwise.
                    let _ = std::fs::remove_file(&file);
                    break;
                }
                taken += size;
            }
        }
        Ok(taken)
    }

    /// Gives the room back that [`Self::fill`] took, for good: were it not flushed, a disk that refuses writes right after would be full again.
    pub fn free(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("ballast-") {
                std::fs::remove_file(entry.path())?;
            }
        }
        self.flush()
    }

    /// From here on nothing is written any more, also to files that are open: the kernel is told of an error, after which it takes the file
    /// system for broken. What was not flushed is gone, as it would be. Only [`FileSystem::Ext4`].
    pub fn refuse_writes(&self) -> Result<()> {
        let device = self.mounted().context("the disk is not mounted")?.0;
        let device = device.trim_start_matches("/dev/");
        let trigger = Path::new("/sys/fs/ext4")
            .join(device)
            .join("trigger_fs_error");
        let mut file = File::options()
            .write(true)
            .open(&trigger)
            .with_context(|| format!("open {}", trigger.display()))?;
        Ok(file.write_all(b"the harness wants it so")?)
    }

    /// Whether the kernel takes no writes; its own words.
    pub fn is_read_only(&self) -> Option<String> {
        let options = self.mounted()?.1;
        let mut words = options.split(',');
        let refuses = words.any(|word| ["emergency_ro", "ro", "shutdown"].contains(&word));
        refuses.then(|| options.clone())
    }

    /// Unmounts and mounts it again, as a start of the machine would. Nobody may have files open in it any more.
    pub async fn repair(&self) -> Result<()> {
        ensure!(
            self.kind == FileSystem::Ext4,
            "what is in memory would be gone"
        );
        let deadline = Instant::now() + BUSY;
        while let Err(error) = done(Command::new("umount").arg(self.path())) {
            if Instant::now() >= deadline {
                return Err(error.context("somebody still uses a disk"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.mount_image()
    }

    /// Device and options.
    fn mounted(&self) -> Option<(String, String)> {
        mounts().into_iter().find_map(|[device, place, options]| {
            (Path::new(&place) == self.path()).then_some((device, options))
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let watchdog = self
            .watchdog
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        drop(watchdog.stdin.take());
        let _ = watchdog.wait();
    }
}

/// Device, place and options of everything that is mounted.
fn mounts() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            Some([words.next()?, words.next()?, words.nth(1)?])
        })
        .collect()
}

fn done(command: &mut Command) -> Result<()> {
    let said = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .with_context(|| format!("run {said}"))?;
    ensure!(
        output.status.success(),
        "{said}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Waits for the end of the pipe, then until nobody uses the file system, for a while.
fn start_watchdog(directory: &Path) -> Result<Child> {
    const SCRIPT: &str = r#"
        cat >/dev/null
        tries=0
        while grep -qs " $1/fs " /proc/mounts && ! umount "$1/fs" 2>/dev/null; do
          tries=$((tries + 1))
          if [ "$tries" -ge 300 ]; then umount -l "$1/fs"; fi
          sleep 0.05
        done
        rm -rf -- "$1"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "tidelog-watchdog"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("start the watchdog")
}

/// Removes disks that no living process holds.
fn sweep() {
    let left = std::fs::read_dir(std::env::temp_dir());
    for entry in left.into_iter().flatten().flatten() {
        let directory = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(directory.join(LOCK)) else {
            continue;
        };
        // A disk whose process has just ended is still being unmounted by its watchdog, which waits for those that use it.
        if lock.try_lock().is_ok() {
            let _ = start_watchdog(&directory).map(|mut watchdog| {
                drop(watchdog.stdin.take());
                watchdog.wait()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_mounted(place: &Path) -> bool {
        mounts()
            .iter()
            .any(|[_, mounted, _]| Path::new(mounted) == place)
    }

    /// Where nothing may be mounted there is nothing to see; the fault runs say so loudly.
    fn ext4() -> bool {
        Disk::possible() == Ok(FileSystem::Ext4)
    }

    #[tokio::test]
    async fn a_full_disk_has_no_room_and_one_that_refuses_writes_keeps_what_was_flushed() {
        if !ext4() {
            return;
        }
        let disk = Disk::start(16).unwrap();
        let file = disk.path().join("file");
        let mut open = File::create(&file).unwrap();
        assert!(disk.fill().unwrap() > 4 << 20);
        let full = std::fs::write(disk.path().join("other"), [1; 8192]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        disk.free().unwrap();
        open.write_all(b"kept").unwrap();
        open.sync_all().unwrap();
        assert_eq!(disk.is_read_only(), None);
        disk.refuse_writes().unwrap();
        let refused = open.write_all(&[1; 8192]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        assert!(disk.is_read_only().is_some());
        drop(open);
        disk.repair().await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"kept");
        std::fs::write(&file, [1; 8192]).unwrap();
        let place = disk.path();
        assert!(is_mounted(&place));
        drop(disk);
        assert!(!is_mounted(&place) && !place.exists());
    }

    #[tokio::test]
    async fn room_that_was_given_back_is_there_also_when_writes_are_refused_right_after() {
        if !ext4() {
            return;
        }
        let disk = Disk::start(16).unwrap();
        assert!(disk.fill().unwrap() > 4 << 20);
        disk.flush().unwrap();
        disk.free().unwrap();
        disk.refuse_writes().unwrap();
        disk.repair().await.unwrap();
        std::fs::write(disk.path().join("file"), vec![1; 4 << 20]).unwrap();
    }

    #[test]
    fn a_disk_that_nobody_unmounted_is_removed_by_whoever_comes_next() {
        if !ext4() {
            return;
        }
        let disk = Disk::start(8).unwrap();
        let (kept, place) = (disk.directory.clone(), disk.path());
        sweep();
        assert!(is_mounted(&place), "it is held by a process that lives");
        {
            let mut watchdog = disk.watchdog.lock().unwrap();
            watchdog.kill().unwrap();
            watchdog.wait().unwrap();
        }
        drop(disk);
        assert!(is_mounted(&place), "its watchdog was killed");
        // A process that another test is just starting has our files open until it becomes another program, the lock among them.
        let deadline = Instant::now() + BUSY;
        while is_mounted(&place) || kept.exists() {
            assert!(Instant::now() < deadline, "nobody has removed it");
            sweep();
        }
    }
}
