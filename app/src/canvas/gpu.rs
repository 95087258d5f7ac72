//! Drawing pictures and masks on the graphics card: textures, and quads that show them.

use eframe::egui_wgpu::{self, CallbackResources, CallbackTrait, RenderState, ScreenDescriptor, wgpu};
use egui::{PaintCallbackInfo, Rect};

/// A texture that quads can show.
#[derive(Clone)]
pub(super) struct Texture {
    bind_group: wgpu::BindGroup,
}

/// A texture's part on the screen.
pub(super) struct Quad {
    pub texture: Texture,
    /// On the screen, in points.
    pub rect: Rect,
    /// The same part in texels: left, top, right, bottom.
    pub texels: [f32; 4],
    pub style: Style,
}

/// How a quad is drawn.
#[derive(Clone, Copy)]
pub(super) enum Style {
    Picture,
    Mask {
        /// Red, green, blue, and how strongly it is filled, 0 to 1.
        color: [f32; 4],
        /// Points.
        outline: f32,
        is_hatched: bool,
    },
}

/// What one quad is to the shader; see `canvas.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Instance {
    corners: [f32; 4],
    texels: [f32; 4],
    color: [f32; 4],
    style: [f32; 4],
}

impl Instance {
    fn of(quad: &Quad, canvas: Rect, pixels_per_point: f32) -> Self {
        let x = |x: f32| (x - canvas.left()) / canvas.width() * 2.0 - 1.0;
        let y = |y: f32| 1.0 - (y - canvas.top()) / canvas.height() * 2.0;
        let rect = quad.rect;
        let texels = |from: usize, points: f32| {
            (quad.texels[from + 2] - quad.texels[from]) / points.max(f32::MIN_POSITIVE)
        };
        let texels_per_point = [texels(0, rect.width()), texels(1, rect.height())];
        let (color, style) = match quad.style {
            Style::Picture => {
                let finest = texels_per_point[0].max(texels_per_point[1]);
                ([0.0; 4], [0.0, 0.0, 0.0, finest / pixels_per_point])
            }
            Style::Mask { color, outline, is_hatched } => {
                let [x, y] = texels_per_point.map(|texels| outline * texels);
                (color, [x, f32::from(u8::from(is_hatched)), 1.0, y])
            }
        };
        let corners = [x(rect.left()), y(rect.top()), x(rect.right()), y(rect.bottom())];
        Self { corners, texels: quad.texels, color, style }
    }
}

/// Makes textures.
#[derive(Clone)]
pub(super) struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    layout: wgpu::BindGroupLayout,
    sampler: wgpu::Sampler,
}

/// How the bytes of a texture are meant.
#[derive(Clone, Copy)]
pub(super) enum Texels {
    /// Red, green, blue, and a byte that is not used.
    Rgba,
    /// 255 on a mask.
    Mask,
}

impl Gpu {
    /// Makes the pipeline, which egui's renderer keeps.
    pub(super) fn new(state: &RenderState) -> Self {
        let device = &state.device;
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("canvas"),
            entries: &[
                wgpu::BindGroupLayoutEntry {
                    binding: 0,
                    visibility: wgpu::ShaderStages::FRAGMENT,
                    ty: wgpu::BindingType::Texture {
                        sample_type: wgpu::TextureSampleType::Float { filterable: true },
                        view_dimension: wgpu::TextureViewDimension::D2,
                        multisampled: false,
                    },
                    count: None,
                },
                wgpu::BindGroupLayoutEntry {
                    binding: 1,
                    visibility: wgpu::ShaderStages::FRAGMENT,
                    ty: wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
                    count: None,
                },
            ],
        });
        let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let pipeline = pipeline(state, &layout);
        state.renderer.write().callback_resources.insert(Resources { pipeline, instances: None });
        Self { device: device.clone(), queue: state.queue.clone(), layout, sampler }
    }

    /// A texture of `width` x `height` texels, row by row.
    pub(super) fn texture(&self, texels: Texels, width: u32, height: u32, bytes: &[u8]) -> Texture {
        let (format, n_bytes) = match texels {
            Texels::Rgba => (wgpu::TextureFormat::Rgba8Unorm, 4),
            Texels::Mask => (wgpu::TextureFormat::R8Unorm, 1),
        };
        let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("canvas"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(width * n_bytes),
            rows_per_image: None,
        };
        self.queue.write_texture(texture.as_image_copy(), bytes, layout, size);
        let bind_group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("canvas"),
            layout: &self.layout,
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::TextureView(&texture.create_view(&Default::default())),
                },
                wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(&self.sampler) },
            ],
        });
        Texture { bind_group }
    }
}

fn pipeline(state: &RenderState, layout: &wgpu::BindGroupLayout) -> wgpu::RenderPipeline {
    let device = &state.device;
    let shader = device.create_shader_module(wgpu::include_wgsl!("canvas.wgsl"));
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("canvas"),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let attributes = wgpu::vertex_attr_array![0 => Float32x4, 1 => Float32x4, 2 => Float32x4, 3 => Float32x4];
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("canvas"),
        layout: Some(&pipeline_layout),
        vertex: wgpu::VertexState {
            module: &shader,
            entry_point: Some("vertex"),
            compilation_options: Default::default(),
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Instance>() as u64,
                step_mode: wgpu::VertexStepMode::Instance,
                attributes: &attributes,
            })],
        },
        fragment: Some(wgpu::FragmentState {
            module: &shader,
            entry_point: Some("fragment"),
            compilation_options: Default::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format: state.target_format,
                blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        primitive: wgpu::PrimitiveState {
            topology: wgpu::PrimitiveTopology::TriangleStrip,
            ..Default::default()
        },
        depth_stencil: None,
        multisample: Default::default(),
        multiview_mask: None,
        cache: None,
    })
}

/// What egui's renderer keeps for us.
struct Resources {
    pipeline: wgpu::RenderPipeline,
    instances: Option<wgpu::Buffer>,
}

/// Quads to draw on a canvas, the lowest first.
struct Drawing {
    canvas: Rect,
    quads: Vec<Quad>,
}

/// A shape that draws quads on a canvas, the lowest first.
pub(super) fn shape(canvas: Rect, quads: Vec<Quad>) -> egui::Shape {
    egui_wgpu::Callback::new_paint_callback(canvas, Drawing { canvas, quads }).into()
}

impl CallbackTrait for Drawing {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let Some(resources) = resources.get_mut::<Resources>() else { return Vec::new() };
        let instance = |quad| Instance::of(quad, self.canvas, screen.pixels_per_point);
        let instances: Vec<Instance> = self.quads.iter().map(instance).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&instances);
        let needed = bytes.len().next_power_of_two().max(4096) as u64;
        if resources.instances.as_ref().is_none_or(|buffer| buffer.size() < needed) {
            resources.instances = Some(device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("canvas"),
                size: needed,
                usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }));
        }
        if let Some(buffer) = &resources.instances {
            queue.write_buffer(buffer, 0, bytes);
        }
        Vec::new()
    }

    fn paint(
        &self,
        _: PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        let Some(Resources { pipeline, instances: Some(instances) }) = resources.get::<Resources>() else {
            return;
        };
        pass.set_pipeline(pipeline);
        pass.set_vertex_buffer(0, instances.slice(..));
        for (i, quad) in (0..).zip(&self.quads) {
            pass.set_bind_group(0, &quad.texture.bind_group, &[]);
            pass.draw(0..4, i..i + 1);
        }
    }
}
