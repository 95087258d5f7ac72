"""Reference numbers of video mode: plays a script through sam2's SAM2VideoPredictor.

Besides the outputs it tells which memories each run of the memory attention saw. They are read
off the attention's actual inputs: features and pointers are looked up among the stored outputs,
times among the possible encodings.
"""

import torch
from sam2.modeling.sam2_utils import get_1d_sine_pe

import formula
import model as reference
from store import as_array, pack


def video_mode(model, script, name):
    """Plays the script; returns the tensors and the lists for the file's metadata."""
    player = Player(model, script)
    for index, step in enumerate(script["steps"]):
        ((kind, arguments),) = step.items()
        player.prefix = f"video/{name}/{index}"
        player.index = index
        getattr(player, kind)(**arguments)
        player.note_state()
    del model._prepare_memory_conditioned_features, model.forward_image  # the class's own again
    return player.tensors, {"script": script, "memory": player.memory, "state": player.states}


class Player:
    """A predictor with an open clip, and what came out of it so far."""

    def __init__(self, model, script):
        self.model, self.width, self.height = model, script["width"], script["height"]
        self.tensors, self.memory, self.states = {}, [], []
        model.max_cond_frames_in_attn = script["max_cond_frames"]
        model.non_overlap_masks = script.get("non_overlap", False)
        model.fill_hole_area = script.get("fill_hole_area", 8)
        side = model.image_size
        clip = [formula.frame(t, side, side) for t in range(script["frames"])]
        images = torch.stack([reference.pixels(image) for image in clip])
        reference.remember_features(model)
        self.state = reference.open_clip(model, images, self.height, self.width)
        self.condition = model._prepare_memory_conditioned_features
        model._prepare_memory_conditioned_features = self.observed

    def add_points(self, object, frame, points=(), labels=(), box=None, clear_old=True):
        """Clicks and a box, in the video's pixels."""
        _, ids, masks = self.model.add_new_points_or_box(
            self.state,
            frame,
            object,
            points=torch.tensor(points, dtype=torch.float32).reshape(-1, 2),
            labels=torch.tensor(labels, dtype=torch.int32),
            clear_old_points=clear_old,
            box=box,
        )
        self.note(frame, object, "temp_output_dict_per_obj", masks[ids.index(object)])

    def add_mask(self, object, frame, circle):
        """A mask prompt: a circle [center x, center y, radius]; radius 0 makes an empty mask."""
        mask = torch.from_numpy(formula.circle(self.width, self.height, *circle))
        _, ids, masks = self.model.add_new_mask(self.state, frame, object, mask)
        self.note(frame, object, "temp_output_dict_per_obj", masks[ids.index(object)])

    def propagate(self, start=None, max_frames=None, reverse=False):
        """Both ends of start..start+max_frames are tracked."""
        for frame, ids, masks in self.model.propagate_in_video(
            self.state, start, max_frames, reverse
        ):
            for object, mask in zip(ids, masks):
                self.note(frame, object, "output_dict_per_obj", mask)

    def note(self, frame, object, where, mask):
        """Keeps one object's output on one frame: stored low logits, score, video-size mask."""
        outputs = self.state[where][self.state["obj_id_to_idx"][object]]
        stored = outputs["cond_frame_outputs"].get(frame) or outputs["non_cond_frame_outputs"][frame]
        key = f"{self.prefix}/{frame}/{object}"
        self.tensors[f"{key}/low"] = as_array(stored["pred_masks"][0, 0])
        self.tensors[f"{key}/score"] = as_array(stored["object_score_logits"][0])
        self.tensors[f"{key}/mask"] = pack(mask[0] > 0)

    def note_state(self):
        """Keeps which frames are conditioning frames and which are not, per object."""
        self.states.append(
            {
                str(object): {
                    "cond": sorted(outputs["cond_frame_outputs"]),
                    "non": sorted(outputs["non_cond_frame_outputs"]),
                }
                for object, index in self.state["obj_id_to_idx"].items()
                for outputs in [self.state["output_dict_per_obj"][index]]
            }
        )

    def observed(self, frame_idx, is_init_cond_frame, output_dict, track_in_reverse, **arguments):
        """Stands before sam2's method of the memory-conditioned features and notes its memories."""
        seen = []

        def note(_module, args, inputs):
            # Without any pointer the memory stays bfloat16, which sam2 refuses in float32.
            inputs["memory"] = inputs["memory"].float()
            seen.append(inputs)
            return args, inputs

        hook = self.model.memory_attention.register_forward_pre_hook(note, with_kwargs=True)
        result = self.condition(
            frame_idx=frame_idx,
            is_init_cond_frame=is_init_cond_frame,
            output_dict=output_dict,
            track_in_reverse=track_in_reverse,
            **arguments,
        )
        hook.remove()
        outputs = output_dict["cond_frame_outputs"] | output_dict["non_cond_frame_outputs"]
        per_object = self.state["output_dict_per_obj"]
        index = next(i for i, value in per_object.items() if value is output_dict)
        for inputs in seen:
            self.memory.append(
                {
                    "step": self.index,
                    "frame": frame_idx,
                    "object": self.state["obj_idx_to_id"][index],
                    "reverse": track_in_reverse,
                    "spatial": self.spatial(inputs, outputs),
                    "pointers": self.pointers(inputs, outputs, frame_idx, track_in_reverse),
                }
            )
        return result

    def spatial(self, inputs, outputs):
        """Sorted [t_pos, frame] of the spatial memories; t_pos is 0 for conditioning frames."""
        count = inputs["memory"].shape[0] - inputs["num_obj_ptr_tokens"]
        tokens = (self.model.image_size // 16) ** 2
        found = []
        for start in range(0, count, tokens):
            memory = inputs["memory"][start : start + tokens]
            encoding = inputs["memory_pos"][start : start + tokens]
            (frame,) = [
                t
                for t, out in outputs.items()
                if torch.equal(out["maskmem_features"].flatten(2).permute(2, 0, 1).to(memory), memory)
            ]
            space = outputs[frame]["maskmem_pos_enc"][-1].flatten(2).permute(2, 0, 1)
            time = (encoding - space).mean(0).flatten()
            times = self.model.maskmem_tpos_enc.flatten(1)
            index = (times - time).abs().sum(1).argmin().item()
            found.append([self.model.num_maskmem - 1 - index, frame])
        return sorted(found)

    def pointers(self, inputs, outputs, frame, reverse):
        """Sorted [distance, frame] of the object pointers; SAM 2.0's inputs do not tell them."""
        if not self.model.proj_tpos_enc_in_obj_ptrs:
            return None
        count = inputs["num_obj_ptr_tokens"]
        per_pointer = self.model.hidden_dim // self.model.mem_dim
        frames = self.state["num_frames"]
        cap = min(frames, self.model.max_obj_ptrs_in_encoder)
        sines = get_1d_sine_pe(torch.arange(frames) / (cap - 1), dim=self.model.hidden_dim)
        encodings = self.model.obj_ptr_tpos_proj(sines)
        found = []
        for start in range(inputs["memory"].shape[0] - count, inputs["memory"].shape[0], per_pointer):
            time = inputs["memory_pos"][start, 0]
            distance = (encodings - time).abs().sum(1).argmin().item()
            source = frame + distance if reverse else frame - distance
            pointer = inputs["memory"][start : start + per_pointer, 0].flatten()
            assert torch.equal(pointer, outputs[source]["obj_ptr"][0])
            found.append([distance, source])
        return sorted(found)
