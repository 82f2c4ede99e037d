//! Which images to save, and by which names.

use crate::image::{Image, ImageError, ImageStore, Reference};

/// Images in the order in which they were first asked for, each once.
#[derive(Debug, Default)]
pub struct Selection(Vec<(Image, Vec<Reference>)>);

impl Selection {
    /// Adds what a user named: a repository without a tag stands for all its tags, as in Docker; an ID for an image
    /// without names.
    ///
    /// # Errors
    /// There is no such image.
    pub fn add(&mut self, store: &ImageStore, name_or_id: &str) -> Result<(), ImageError> {
        let name = name_or_id.parse::<Reference>().ok();
        if let Some(name) = name.as_ref().filter(|_| is_repository(name_or_id)) {
            let mut any = false;
            for image in store.list()? {
                let of_it = image.names().iter().filter(|other| other.is_in_repository_of(name));
                let of_it: Vec<Reference> = of_it.cloned().collect();
                if !of_it.is_empty() {
                    any = true;
                    self.insert(image, of_it);
                }
            }
            if any {
                return Ok(());
            }
        }
        let image = store.resolve(name_or_id)?;
        let named = name.into_iter().filter(|name| image.names().contains(name)).collect();
        self.insert(image, named);
        Ok(())
    }

    fn insert(&mut self, image: Image, names: Vec<Reference>) {
        match self.0.iter_mut().find(|(other, _)| other.id() == image.id()) {
            Some((_, known)) => {
                let new: Vec<_> = names.into_iter().filter(|name| !known.contains(name)).collect();
                known.extend(new);
            }
            None => self.0.push((image, names)),
        }
    }

    /// The images with the names that they are saved under.
    #[must_use]
    pub fn images(&self) -> &[(Image, Vec<Reference>)] {
        &self.0
    }
}

/// Whether there is neither tag nor digest in a name.
fn is_repository(name: &str) -> bool {
    !name.contains('@') && !name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}
