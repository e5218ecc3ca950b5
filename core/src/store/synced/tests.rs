//! Losses of power, at every step of a put.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use super::*;

/// A file system that loses what was not synced: contents of files, and names in folders.
#[derive(Default)]
struct Volatile {
    state: Mutex<State>,
    /// Steps until the power is lost.
    left: Mutex<Option<usize>>,
}

#[derive(Default, Clone)]
struct State {
    /// What a name leads to: the number of a file, or a folder.
    names: BTreeMap<PathBuf, Option<usize>>,
    synced_names: BTreeMap<PathBuf, Option<usize>>,
    contents: BTreeMap<usize, Vec<u8>>,
    synced_contents: BTreeSet<usize>,
}

impl Volatile {
    fn with_folder(path: &str) -> Self {
        let volatile = Self::default();
        {
            let mut state = volatile.state.lock();
            for folder in FsPath::new(path).ancestors() {
                state.names.insert(folder.to_owned(), None);
                state.synced_names.insert(folder.to_owned(), None);
            }
        }
        volatile
    }

    fn step(&self) -> io::Result<()> {
        let mut left = self.left.lock();
        match &mut *left {
            Some(0) => Err(io::Error::other("the power is lost")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What the disk holds after a loss of power: a name whose folder's name is lost is lost as well.
    fn after_power_loss(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let state = self.state.lock();
        let reached = |path: &FsPath| {
            path.ancestors()
                .skip(1)
                .all(|folder| state.synced_names.contains_key(folder))
        };
        let names = state.synced_names.iter().filter(|(path, _)| reached(path));
        let found = names.map(|(path, file)| {
            let content = file.map(|file| match state.synced_contents.contains(&file) {
                true => state.contents[&file].clone(),
                false => Vec::new(),
            });
            (path.clone(), content)
        });
        found.collect()
    }
}

impl Files for Volatile {
    fn exists(&self, path: &FsPath) -> bool {
        self.state.lock().names.contains_key(path)
    }

    fn create_folder(&self, path: &FsPath) -> io::Result<()> {
        self.step()?;
        self.state.lock().names.insert(path.to_owned(), None);
        Ok(())
    }

    fn write_new(&self, path: &FsPath, payload: &PutPayload) -> io::Result<()> {
        self.step()?;
        let mut state = self.state.lock();
        let number = state.contents.len();
        state
            .contents
            .insert(number, payload.iter().flat_map(|part| part.to_vec()).collect());
        state.names.insert(path.to_owned(), Some(number));
        Ok(())
    }

    fn sync_file(&self, path: &FsPath) -> io::Result<()> {
        self.step()?;
        let mut state = self.state.lock();
        if let Some(Some(file)) = state.names.get(path).copied() {
            state.synced_contents.insert(file);
        }
        Ok(())
    }

    fn sync_folder(&self, path: &FsPath) -> io::Result<()> {
        self.step()?;
        let mut state = self.state.lock();
        let within = |name: &PathBuf| name.parent() == Some(path);
        state.synced_names.retain(|name, _| !within(name));
        let now: Vec<_> = state
            .names
            .iter()
            .filter(|(name, _)| within(name))
            .map(|(name, file)| (name.clone(), *file))
            .collect();
        state.synced_names.extend(now);
        Ok(())
    }

    fn link(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        self.step()?;
        let mut state = self.state.lock();
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.names[from];
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn rename(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        self.step()?;
        let mut state = self.state.lock();
        let file = state.names.remove(from).unwrap();
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &FsPath) -> io::Result<()> {
        self.step()?;
        self.state.lock().names.remove(path);
        Ok(())
    }
}

/// Whatever the step at which the power is lost, and whatever of it the disk has by then.
#[test]
fn an_object_is_whole_or_not_there_and_stays_once_it_is_acknowledged() {
    let path = FsPath::new("/store/catalog/deep/00001.json");
    let payload = PutPayload::from(vec![7_u8; 10]);
    for create in [true, false] {
        let mut acknowledged = false;
        for steps in 0.. {
            let files = Volatile::with_folder("/store");
            *files.left.lock() = Some(steps);
            let result = write(&files, path, &payload, create);
            let found = files.after_power_loss();
            match (result, found.get(path)) {
                (Ok(()), Some(Some(content))) => assert_eq!(content.len(), 10, "step {steps}"),
                (Ok(()), other) => panic!("step {steps}: acknowledged, and {other:?}"),
                (Err(_), Some(Some(content))) => assert_eq!(content.len(), 10, "step {steps}"),
                (Err(_), other) => assert_eq!(other, None, "step {steps}"),
            }
            if files.left.lock().is_some_and(|left| left > 0) {
                acknowledged = true;
                break;
            }
        }
        assert!(acknowledged);
    }
}

#[test]
fn a_name_is_taken_once() {
    let files = Volatile::with_folder("/store");
    let path = FsPath::new("/store/1.json");
    write(&files, path, &PutPayload::from("first"), true).unwrap();
    let error = write(&files, path, &PutPayload::from("second"), true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(files.after_power_loss()[path], Some(b"first".to_vec()));
    write(&files, path, &PutPayload::from("third"), false).unwrap();
    assert_eq!(files.after_power_loss()[path], Some(b"third".to_vec()));
    let names = files.state.lock().names.len();
    assert_eq!(names, 3, "a draft is left");
}

#[tokio::test]
async fn objects_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = SyncedFolders::new();
    let root = Path::from_absolute_path(folder.path()).unwrap();
    let object = root.clone().join("a").join("b.json");
    let create = || PutOptions::from(PutMode::Create);
    store.put_opts(&object, "one".into(), create()).await.unwrap();
    let error = store.put_opts(&object, "two".into(), create()).await.unwrap_err();
    assert!(
        matches!(error, object_store::Error::AlreadyExists { .. }),
        "{error}"
    );
    let put = store.put(&object, "three".into()).await.unwrap();
    let found = store.get(&object).await.unwrap();
    assert_eq!((&found.meta.e_tag, found.meta.size), (&put.e_tag, 5));
    let mut upload = store.put_multipart(&root.clone().join("c")).await.unwrap();
    upload.put_part("part".into()).await.unwrap();
    upload.complete().await.unwrap();
    store.copy(&object, &root.clone().join("d")).await.unwrap();
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 3);
    assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
}
