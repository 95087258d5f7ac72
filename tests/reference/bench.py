"""Times PyTorch sam2 on request, so that a benchmark can run it in turns with Segue.

    python bench.py [--config tiny] [--size 1024] [--threads 2] [--weights formula]
                    [--device cuda] [--dtype bfloat16] [--compile [MODE]]

Prints {"ready": true} when warm. Then, for each line read, one JSON line:

    encode   {"encode": seconds}   the image encoder on a prepared image
    click    {"click": seconds}    prompt encoder, mask decoder, three masks at image size in numpy
    track    {"track": seconds}    one object on one frame: memory attention with 7 spatial memories
                                   and 16 object pointers, decoder, memory encoder, mask at video
                                   size in numpy; the image's features are there already
    rss      {"rss": bytes}        peak resident memory so far

Hole filling is off: sam2 has it for CUDA only. Ends with its input.
"""

import argparse
import contextlib
import json
import resource
import sys
import time

import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor

import formula
import model as reference

WIDTH, HEIGHT, FRAME, FRAMES = 1280, 720, 20, 40


def fill_memory(model, state):
    """One object with a conditioning frame 0 and outputs on all frames up to FRAME."""
    model._obj_id_to_idx(state, 1)
    device = model.device
    outputs = state["output_dict_per_obj"][0]
    side, low = model.image_size // 16, model.image_size // 4
    random = torch.Generator().manual_seed(0)
    space = model.memory_encoder.position_encoding(torch.zeros(1, model.mem_dim, side, side, device=device))
    for frame in range(FRAME):
        memory = torch.randn(1, model.mem_dim, side, side, generator=random)
        kind = "non_cond_frame_outputs" if frame else "cond_frame_outputs"
        outputs[kind][frame] = {
            "maskmem_features": memory.to(device, torch.bfloat16),
            "maskmem_pos_enc": [space],
            "pred_masks": torch.zeros(1, 1, low, low, device=device),
            "obj_ptr": torch.randn(1, model.hidden_dim, generator=random).to(device),
            "object_score_logits": torch.ones(1, 1, device=device),
        }
    return outputs


class Bench:
    """A model with an image, a clip and memories, ready to be timed."""

    def __init__(self, model):
        self.model = model
        image = formula.frame(0, model.image_size, model.image_size)
        self.pixels = reference.pixels(image)[None].to(model.device)
        clip = self.pixels.cpu().expand(FRAMES, -1, -1, -1)
        self.state = reference.open_clip(model, clip, HEIGHT, WIDTH)
        self.state["cached_features"][FRAME] = self.state["cached_features"].pop(0)
        self.outputs = fill_memory(model, self.state)
        self.predictor = SAM2ImagePredictor(model)
        self.predictor._bb_feat_sizes = [(model.image_size // s,) * 2 for s in (4, 8, 16)]
        self.predictor.set_image(image)

    def encode(self):
        self.model.forward_image(self.pixels)

    def click(self):
        self.predictor.predict(torch.tensor([[400.0, 300.0]]).numpy(), torch.ones(1).numpy())

    def track(self):
        _, masks = self.model._run_single_frame_inference(
            inference_state=self.state,
            output_dict=self.outputs,
            frame_idx=FRAME,
            batch_size=1,
            is_init_cond_frame=False,
            point_inputs=None,
            mask_inputs=None,
            reverse=False,
            run_mem_encoder=True,
        )
        _, masks = self.model._get_orig_video_res_output(self.state, masks)
        (masks > 0).cpu().numpy()

    def answer(self, request):
        """What a line of input gets."""
        if request == "rss":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        start = time.perf_counter()
        {"encode": self.encode, "click": self.click, "track": self.track}[request]()
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start


def compiled(mode):
    """The class of the model with its parts compiled: sam2's own for that, which asks for the slowest to compile."""
    compile_as_asked = torch.compile
    torch.compile = lambda f, **options: compile_as_asked(f, **{**options, "mode": mode})
    return {"_target_": "sam2.sam2_video_predictor.SAM2VideoPredictorVOS", "compile_image_encoder": "true"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=list(reference.CONFIGS), default="tiny")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", choices=["formula", "random"], default="formula")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", nargs="?", const="max-autotune", help="a mode of torch.compile")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # As sam2's own benchmark has it.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    with contextlib.redirect_stdout(sys.stderr):
        options = compiled(args.compile) if args.compile else {}
        model = reference.build(args.config, args.size, fill_hole_area=0, **options)
    if args.weights == "formula":
        reference.load_formula(model, formula.OBJECT_BIAS[args.config])
    model.to(args.device)
    autocast = torch.autocast(args.device, getattr(torch, args.dtype), enabled=args.dtype != "float32")
    with torch.inference_mode(), autocast:
        bench = Bench(model)
        # Compiled code is made on the first runs.
        for request in ("encode", "click", "track") * (3 if args.compile else 1):
            bench.answer(request)
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            request = line.strip()
            print(json.dumps({request: bench.answer(request)}), flush=True)


if __name__ == "__main__":
    main()
