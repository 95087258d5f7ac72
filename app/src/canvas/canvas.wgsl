// Draws tiles of pictures and masks, each as one instance of a quad.

struct Quad {
    // Corners on the canvas, -1 to 1, y up: left, top, right, bottom.
    @location(0) corners: vec4<f32>,
    // The same corners in texels.
    @location(1) texels: vec4<f32>,
    // Red, green, blue, and how strongly a mask is filled.
    @location(2) color: vec4<f32>,
    // Width of a mask's outline in texels, across; 1 to hatch it; 1 for a mask, 0 for a picture; width of the outline in
    // texels, down, or of a picture texels per screen pixel.
    @location(3) style: vec4<f32>,
};

struct Fragment {
    @builtin(position) position: vec4<f32>,
    @location(0) texel: vec2<f32>,
    @location(1) @interpolate(flat) color: vec4<f32>,
    @location(2) @interpolate(flat) style: vec4<f32>,
};

@group(0) @binding(0) var pixels: texture_2d<f32>;
@group(0) @binding(1) var smooth_sampler: sampler;

@vertex
fn vertex(@builtin(vertex_index) i: u32, quad: Quad) -> Fragment {
    let right = f32(i & 1u);
    let bottom = f32((i >> 1u) & 1u);
    var out: Fragment;
    let place = mix(quad.corners.xy, quad.corners.zw, vec2(right, bottom));
    out.position = vec4(place, 0.0, 1.0);
    out.texel = mix(quad.texels.xy, quad.texels.zw, vec2(right, bottom));
    out.color = quad.color;
    out.style = quad.style;
    return out;
}

fn is_on(texel: vec2<f32>) -> bool {
    let size = vec2<f32>(textureDimensions(pixels));
    if (any(texel < vec2(0.0)) || any(texel >= size)) {
        return false;
    }
    return textureLoad(pixels, vec2<i32>(floor(texel)), 0).r > 0.5;
}

// Pixels of the picture stay sharp squares from twice their size on.
fn picture(texel: vec2<f32>, texels_per_pixel: f32) -> vec4<f32> {
    let size = vec2<f32>(textureDimensions(pixels));
    let smoothed = textureSampleLevel(pixels, smooth_sampler, texel / size, 0.0);
    let nearest = textureLoad(pixels, vec2<i32>(clamp(floor(texel), vec2(0.0), size - 1.0)), 0);
    return vec4(select(smoothed.rgb, nearest.rgb, texels_per_pixel < 0.5), 1.0);
}

// The outline lies inside the mask and is as wide on the screen at any zoom.
fn mask(in: Fragment) -> vec4<f32> {
    if (!is_on(in.texel)) {
        discard;
    }
    let far = vec2(in.style.x, in.style.w);
    let near = far * 0.7071;
    let within = is_on(in.texel + vec2(far.x, 0.0)) && is_on(in.texel - vec2(far.x, 0.0))
        && is_on(in.texel + vec2(0.0, far.y)) && is_on(in.texel - vec2(0.0, far.y))
        && is_on(in.texel + near) && is_on(in.texel - near)
        && is_on(in.texel + vec2(near.x, -near.y)) && is_on(in.texel - vec2(near.x, -near.y));
    let stripe = fract((in.position.x + in.position.y) / 12.0) < 0.4;
    let fill = select(in.color.a, select(0.15, 1.0, stripe) * in.color.a, in.style.y > 0.5);
    let alpha = select(0.95, fill, within);
    return vec4(in.color.rgb * alpha, alpha);
}

@fragment
fn fragment(in: Fragment) -> @location(0) vec4<f32> {
    if (in.style.z > 0.5) {
        return mask(in);
    }
    return picture(in.texel, in.style.w);
}
