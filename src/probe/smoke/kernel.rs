//! The kernel: `sum[i] = a[i] + b[i]` for the first `count` elements.

/// Name of the function in [`PTX`].
pub const NAME: &std::ffi::CStr = c"add";
/// Threads a block.
pub const BLOCK: u32 = 256;
/// Elements of each vector: 4 MiB a vector, enough for a time that can be told from the launch.
pub const COUNT: u32 = 1 << 20;

/// PTX ISA 6.0 for sm_50: the oldest that every driver since CUDA 9 compiles, for every GPU since Maxwell.
/// Parameters: the vectors `a`, `b` and `sum` (`f32`), and the count.
pub const PTX: &std::ffi::CStr = c"
.version 6.0
.target sm_50
.address_size 64
.visible .entry add(.param .u64 a, .param .u64 b, .param .u64 sum, .param .u32 count)
{
    .reg .pred %outside;
    .reg .b32 %block, %width, %thread, %index, %count;
    .reg .f32 %x, %y, %z;
    .reg .b64 %a, %b, %sum, %offset;
    ld.param.u32 %count, [count];
    mov.u32 %block, %ctaid.x;
    mov.u32 %width, %ntid.x;
    mov.u32 %thread, %tid.x;
    mad.lo.u32 %index, %block, %width, %thread;
    setp.ge.u32 %outside, %index, %count;
    @%outside bra END;
    ld.param.u64 %a, [a];
    ld.param.u64 %b, [b];
    ld.param.u64 %sum, [sum];
    cvta.to.global.u64 %a, %a;
    cvta.to.global.u64 %b, %b;
    cvta.to.global.u64 %sum, %sum;
    mul.wide.u32 %offset, %index, 4;
    add.u64 %a, %a, %offset;
    add.u64 %b, %b, %offset;
    add.u64 %sum, %sum, %offset;
    ld.global.f32 %x, [%a];
    ld.global.f32 %y, [%b];
    add.f32 %z, %x, %y;
    st.global.f32 [%sum], %z;
END:
    ret;
}
";
