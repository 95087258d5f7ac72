//! All commands that have a name, for menus, palette, keys, help sheet and tests.

use engine::frame::Direction;

use super::{Command, Extent, Proposals, Scope, Tool, Way};

/// Where a command stands in the menus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Files.
    File,
    /// Undo, and what is done to masks and objects.
    Edit,
    /// Objects.
    Object,
    /// Masks by hand.
    Mask,
    /// Objects through a video.
    Track,
    /// Going from image to image.
    Go,
    /// Long work.
    Jobs,
    /// What is shown.
    View,
}

impl Group {
    /// All, in the order of the menus.
    pub const ALL: [Self; 8] =
        [Self::File, Self::Edit, Self::Object, Self::Mask, Self::Track, Self::Go, Self::Jobs, Self::View];

    /// The menu's title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Edit => "Edit",
            Self::Object => "Object",
            Self::Mask => "Mask",
            Self::Track => "Track",
            Self::Go => "Go",
            Self::Jobs => "Jobs",
            Self::View => "View",
        }
    }
}

/// A command that has a name, so that it can have a key and be found.
#[derive(Debug)]
pub struct Named {
    /// In key files, such as `next-image`.
    pub name: &'static str,
    /// On the screen.
    pub title: &'static str,
    /// Its menu.
    pub group: Group,
    /// What it does.
    pub command: Command,
}

const fn named(group: Group, name: &'static str, title: &'static str, command: Command) -> Named {
    Named { name, title, group, command }
}

/// The catalog.
pub static CATALOG: &[Named] = {
    use Command::*;
    use Group::{Edit, File, Go, Jobs, Mask, Object, Track, View};
    &[
        named(File, "open-folder", "Open folder…", ChooseFolder),
        named(File, "open-files", "Open files…", ChooseFiles),
        named(File, "open-demo", "Open the demo", OpenDemo),
        named(File, "add-new-images", "Add new images of the folder", AddNewMedia),
        named(File, "open-frames", "Add a folder of frames as video…", ChooseFrames),
        named(File, "find-media", "Find missing media…", ChooseMediaFolder),
        named(File, "import", "Import COCO, YOLO, VOC…", ChooseImport),
        named(File, "import-folder", "Import a folder of labels…", ChooseImportFolder),
        named(File, "export", "Export COCO, YOLO, VOC…", ChooseExport),
        named(File, "statistics", "Statistics", Statistics),
        named(File, "close-project", "Close project", CloseProject),
        named(File, "models", "Models…", ShowModels),
        named(File, "settings", "Settings", Settings),
        named(File, "quit", "Quit", Quit),
        named(Edit, "undo", "Undo", Undo),
        named(Edit, "redo", "Redo", Redo),
        named(Edit, "tool-point", "Point", SetTool(Tool::Point)),
        named(Edit, "tool-brush", "Brush", SetTool(Tool::Brush)),
        named(Edit, "tool-eraser", "Eraser", SetTool(Tool::Eraser)),
        named(Edit, "tool-polygon", "Polygon", SetTool(Tool::Polygon)),
        named(Edit, "swap-brush", "Swap brush and eraser", SwapBrush),
        named(Edit, "swap-sign", "Swap left and right click", SwapSign),
        named(Edit, "larger-brush", "Larger brush", LargerBrush),
        named(Edit, "smaller-brush", "Smaller brush", SmallerBrush),
        named(Object, "accept", "Accept", Accept),
        named(Object, "accept-all", "Accept all proposals", AcceptAll(Proposals::HERE)),
        named(Object, "reject-all", "Reject all proposals", RejectAll(Proposals::HERE)),
        named(Object, "next-proposal", "Next proposal", NextProposal),
        named(Object, "proposal-order", "Worst proposals first, or best", ToggleProposalOrder),
        named(Object, "delete", "Delete", Delete),
        named(Object, "deselect", "Select nothing", Deselect),
        named(Object, "select-all", "Select all", SelectAll),
        named(Object, "next-object", "Next object", NextObject),
        named(Object, "previous-object", "Previous object", PreviousObject),
        named(Object, "next-candidate", "Next candidate mask", NextCandidate),
        named(Object, "previous-candidate", "Previous candidate mask", PreviousCandidate),
        named(Object, "clear-prompt", "Clear clicks and box", ClearPrompt),
        named(Object, "copy-to-next", "Copy to the next image", CopyToNext),
        named(Object, "new-category", "New category…", NewCategory),
        named(Object, "category-1", "Category of key 1", CategoryKey(1)),
        named(Object, "category-2", "Category of key 2", CategoryKey(2)),
        named(Object, "category-3", "Category of key 3", CategoryKey(3)),
        named(Object, "category-4", "Category of key 4", CategoryKey(4)),
        named(Object, "category-5", "Category of key 5", CategoryKey(5)),
        named(Object, "category-6", "Category of key 6", CategoryKey(6)),
        named(Object, "category-7", "Category of key 7", CategoryKey(7)),
        named(Object, "category-8", "Category of key 8", CategoryKey(8)),
        named(Object, "category-9", "Category of key 9", CategoryKey(9)),
        named(Object, "category-0", "Category of key 0", CategoryKey(0)),
        named(Mask, "fill-holes", "Fill holes", FillHoles),
        named(Mask, "drop-islands", "Keep the largest part", DropIslands),
        named(Mask, "grow", "Grow", Grow),
        named(Mask, "shrink", "Shrink", Shrink),
        named(Mask, "join", "Join", Join),
        named(Mask, "subtract", "Subtract the others from the first", Subtract),
        named(Mask, "split", "Split into parts", Split),
        named(Mask, "only-unlabeled", "Take only unlabeled pixels", ToggleOnlyUnlabeled),
        named(Track, "propagate", "Track forward, or pause", Propagate(Way::Forward, Extent::End)),
        named(Track, "propagate-back", "Track backward, or pause", Propagate(Way::Backward, Extent::End)),
        named(Track, "propagate-both", "Track both ways", Propagate(Way::Both, Extent::End)),
        named(Track, "propagate-ten", "Track ten frames", Propagate(Way::Forward, Extent::Frames(10))),
        named(
            Track,
            "propagate-next",
            "Track to the next keyframe",
            Propagate(Way::Forward, Extent::NextGiven),
        ),
        named(Track, "propagate-span", "Track the chosen frames", Propagate(Way::Both, Extent::Span)),
        named(Track, "pause-tracking", "Pause or go on", TogglePause),
        named(Track, "cancel-tracking", "Stop tracking", CancelTracking),
        named(Track, "fix-next", "Fix this next", FixNext),
        named(Track, "review", "Review", ToggleReview),
        named(Track, "confirm", "Confirm", Confirm),
        named(Track, "unconfirm", "Confirm no longer", Unconfirm),
        named(Track, "absent", "Not here", SetAbsent),
        named(Track, "span-from-here", "Choose frames from here", SpanFromHere),
        named(Track, "span-to-here", "Choose frames to here", SpanToHere),
        named(Track, "choose-no-frames", "Choose no frames", SetSpan(None)),
        named(Track, "copy-track", "Copy masks", CopyTrack),
        named(Track, "paste-track", "Paste masks", PasteTrack),
        named(Track, "delete-here", "Delete here", DeleteHere),
        named(Track, "split-track", "Another object from here on", SplitTrack),
        named(Track, "swap-tracks", "Swap two objects from here on", SwapTracks),
        named(Track, "renumber", "Renumber…", ChooseNumber),
        named(Track, "interpolate-boxes", "Interpolate boxes", InterpolateBoxes),
        named(Go, "next-image", "Next image or frame", Step(1)),
        named(Go, "previous-image", "Previous image or frame", Step(-1)),
        named(Go, "ten-on", "Ten on", Step(10)),
        named(Go, "ten-back", "Ten back", Step(-10)),
        named(Go, "first-image", "First image or frame", First),
        named(Go, "last-image", "Last image or frame", Last),
        named(Go, "next-keyframe", "Next keyframe", NextKeyframe),
        named(Go, "previous-keyframe", "Previous keyframe", PreviousKeyframe),
        named(Go, "play", "Play", Play(Direction::Forward)),
        named(Go, "play-backward", "Play backward", Play(Direction::Backward)),
        named(Go, "faster", "Play faster", Faster),
        named(Go, "slower", "Play slower", Slower),
        named(Go, "next-medium", "Next image or video", StepMedium(1)),
        named(Go, "previous-medium", "Previous image or video", StepMedium(-1)),
        named(Go, "next-unfinished", "Next unfinished image", NextUnfinished),
        named(Go, "done", "Image is done", ToggleDone),
        named(Go, "done-and-next", "Done, and on to the next", DoneAndNext),
        named(Go, "remove-image", "Remove the image from the project", RemoveMedium),
        named(Jobs, "find", "Find objects…", ShowFind),
        named(Jobs, "find-similar", "Find more like the selected", FindSimilar),
        named(Jobs, "segment-everything", "Segment everything in the image", SegmentEverything(Scope::Image)),
        named(Jobs, "segment-project", "Segment everything in all images", SegmentEverything(Scope::Project)),
        named(Jobs, "masks-for-boxes", "Masks for boxes in the image", MasksForBoxes(Scope::Image)),
        named(Jobs, "masks-for-all-boxes", "Masks for boxes in all images", MasksForBoxes(Scope::Project)),
        named(Jobs, "cancel-job", "Cancel the running job", CancelJob),
        named(View, "fit", "Fit the image", Fit),
        named(View, "actual-size", "Actual size", ActualSize),
        named(View, "zoom-in", "Zoom in", ZoomIn),
        named(View, "zoom-out", "Zoom out", ZoomOut),
        named(View, "hide", "Hide or show the selected", ToggleHidden),
        named(View, "solo", "Show the selected alone", ToggleSolo),
        named(View, "masks", "Show masks", ToggleMasks),
        named(View, "own-colors", "Tell objects apart by color", ToggleOwnColors),
        named(View, "more-opaque", "Stronger masks", MoreOpaque),
        named(View, "less-opaque", "Weaker masks", LessOpaque),
        named(View, "preview", "Preview under the pointer", TogglePreview),
        named(View, "theme", "Dark or light", ToggleTheme),
        named(View, "palette", "All commands", Palette),
        named(View, "help", "Keys and help", Help),
    ]
};
