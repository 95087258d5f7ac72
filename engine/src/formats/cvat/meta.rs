//! The tasks and labels that a CVAT file describes.

use std::collections::{HashMap, HashSet};

use crate::{
    formats::{dataset::Builder, number::whole, valid_size, xml::Element},
    geometry::Size,
};

/// A task: images, or a video.
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    id: String,
    /// The name of the video's file; none of a task of images.
    pub(super) source: Option<String>,
    /// The size of the video's frames.
    pub(super) size: Option<Size>,
    /// The last frame of the video that is part of the task; none if it is not known.
    pub(super) stop: Option<usize>,
    /// Every *n*th frame of the video is part of the task.
    pub(super) step: usize,
}

/// The tasks of a file, and what of its images must be known before they are read.
#[derive(Debug, Default)]
pub(super) struct Meta {
    tasks: Vec<Task>,
    /// The subsets and tasks that have an image of a name.
    images: HashMap<String, HashSet<[String; 2]>>,
}

impl Meta {
    /// Adds what an element at the top of the file says.
    pub(super) fn add(&mut self, element: &Element, builder: &mut Builder) {
        match &*element.name {
            "meta" => {
                for part in &element.children {
                    let inner = part.child("tasks").into_iter().flat_map(|tasks| &tasks.children);
                    for task in std::iter::once(part).chain(inner) {
                        self.add_task(task, builder);
                    }
                }
            }
            "image" => {
                let [subset, task] =
                    ["subset", "task_id"].map(|name| element.attribute(name).unwrap_or_default());
                if !subset.is_empty() || !task.is_empty() {
                    let name = element.attribute("name").unwrap_or_default().to_owned();
                    self.images.entry(name).or_default().insert([subset.to_owned(), task.to_owned()]);
                }
            }
            _ => {}
        }
    }

    fn add_task(&mut self, element: &Element, builder: &mut Builder) {
        let labels = element.child("labels").into_iter().flat_map(|labels| labels.all("label"));
        // The keypoints of a skeleton are listed as labels with a parent.
        for label in labels.filter(|label| label.told("parent").is_none_or(str::is_empty)) {
            add_label(label, builder);
        }
        if !["task", "job"].contains(&&*element.name) {
            return;
        }
        let number = |name| usize::try_from(whole(element.told(name)?)?).ok();
        let filter = element.told("frame_filter").and_then(|filter| filter.split_once("step"));
        let step = filter.and_then(|(_, step)| whole(step.trim_start_matches([' ', '='])));
        let step = step.and_then(|step| usize::try_from(step).ok()).unwrap_or(1).max(1);
        // The frames of a job are counted within its task, which is the same only without a step.
        let is_absolute = element.name == "task" || step == 1;
        let last = || Some(number("start_frame").unwrap_or(0) + number("size")?.checked_sub(1)? * step);
        let size = element.child("original_size").and_then(|size| {
            let side = |name| usize::try_from(whole(size.told(name)?)?).ok();
            valid_size(side("width")?, side("height")?)
        });
        self.tasks.push(Task {
            id: element.told("id").unwrap_or_default().to_owned(),
            source: element.told("source").filter(|source| !source.is_empty()).map(str::to_owned),
            size,
            stop: number("stop_frame").or_else(last).filter(|_| is_absolute),
            step,
        });
    }

    /// The task of an image or track.
    pub(super) fn task_of(&self, element: &Element) -> Option<&Task> {
        let id = element.attribute("task_id");
        let named = id.and_then(|id| self.tasks.iter().find(|task| task.id == id));
        named.or(self.tasks.first().filter(|_| self.tasks.len() == 1))
    }

    /// The path of an image: its subset is its folder if subsets have images of the same name.
    ///
    /// # Errors
    /// If several tasks have an image of this name and subset.
    pub(super) fn path_of(&self, name: &str, element: &Element) -> Result<String, String> {
        let Some(known) = self.images.get(name).filter(|known| known.len() > 1) else {
            return Ok(name.to_owned());
        };
        let subset = element.attribute("subset").unwrap_or_default();
        match known.iter().filter(|[other, _]| other == subset).count() {
            1 if subset.is_empty() => Ok(name.to_owned()),
            1 => Ok(format!("{subset}/{name}")),
            n => Err(format!("{n} tasks have an image of this name; export them one by one")),
        }
    }
}

fn add_label(label: &Element, builder: &mut Builder) {
    let Some(name) = label.told("name").filter(|name| !name.is_empty()) else { return };
    let category = builder.category(name);
    let color = label.told("color").and_then(|color| color.strip_prefix('#'));
    let color = color.filter(|color| color.len() == 6).and_then(|color| u32::from_str_radix(color, 16).ok());
    if let Some([_, r, g, b]) = color.map(u32::to_be_bytes) {
        builder.category_mut(category).color = Some([r, g, b]);
    }
}
