import pytest, torch, quantised_files as forms
pytestmark = pytest.mark.host
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["old","float8_e4m3fn","nvfp4","mxfp8","int8_tensorwise"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_c(tiny, tmp_path, name, dtype):
    from evertalk_pack.nodes.host.files import check_talk_file
    from evertalk_pack.nodes.host.loaders import load_talk
    p = tmp_path/"t.safetensors"
    forms.old_scaled(tiny.talk,p) if name=="old" else forms.remarked(tiny.talk,p,name)
    talk = load_talk(p, check_talk_file(p,None))
    layer = talk.model.blocks[0].audio_cross_attn
    def f(x, t):
        return layer.proj(torch.nn.functional.silu(layer.q_linear(x))) + layer.kv_linear(t).sum()
    x, t = torch.randn(1,8,256).to(dtype), torch.randn(1,2,8,64).to(dtype)
    with torch.inference_mode():
        a = f(x,t)
        torch._dynamo.reset()
        import torch._dynamo as d
        c = torch.compile(f, backend="aot_eager")
        b = c(x,t)
        ex = d.explain(f)(x,t)
    print(name, dtype, float((a-b).abs().max()), "graphs", ex.graph_count, "breaks", ex.graph_break_count, [str(r.reason)[:100] for r in ex.break_reasons][:3])
