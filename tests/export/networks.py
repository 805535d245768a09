"""The networks of the table (docs/networks.md): public ones of MONAI, torchvision, pytorchvideo, nnU-Net and timm_3d, and a few of ours that hold
what those leave out. Sizes are reduced: what is judged is the translation. NETWORKS: {name: function that gives (module, inputs)}; NOTES: what the
headers of some must say; TRAINED: those whose training is compared too, with Adam's learning rate; HEAVY: those that would run for many minutes
without optimisation."""
import dataclasses
import functools
from unittest import mock

import torch
from torch import nn

NETWORKS, NOTES = {}, {}
HEAVY = {"ahnet", "ahnet_trilinear", "daf3d", "tv_s3d", "tv_mvit_v1_b", "tv_mvit_v2_s", "swin_unetr_shallow"}
TRAINED = {"fourier": 1e-3, "unet_residual": 1e-3, "unet_batch": 1e-3, "swin3d_small": 1e-3, "swin_unetr_shallow": 1e-4, "stopped": 1e-2}


def network(name, *inputs):
    """Inputs are extents, or int:extents for whole numbers."""
    def add(make):
        def made():
            torch.manual_seed(0)
            return make(), [example(i) for i in inputs]
        NETWORKS[name] = made
        return make
    return add


def example(text):
    kind, _, extents = str(text).rpartition(":")
    extents = [int(e) for e in extents.split(",") if e]
    if kind == "int":
        return torch.arange(max(1, torch.Size(extents).numel())).reshape(extents) % 3
    return torch.randn(extents)


def monai(name, make, *inputs):
    def build():
        import monai.networks.nets as nets
        return make(nets)
    network(name, *inputs)(build)


def torchvision(name, *inputs, **options):
    def build():
        import torchvision.models.video as video
        return getattr(video, name)(**options)
    network("tv_" + name, *inputs)(build)


class GivenNoise(nn.Module):
    """A network that draws noise, once, with the noise as an input more: random numbers differ, what is made of them must not."""
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, *inputs):
        *inputs, noise = inputs
        with mock.patch.object(torch, "randn_like", lambda _: noise):
            return self.net(*inputs)


# ------------------------------------------------------------------ MONAI
x32, x16, x64 = "1,1,32,32,32", "1,1,16,16,16", "1,1,64,64,64"
small = dict(spatial_dims=3, in_channels=1, out_channels=2)
monai("unet", lambda m: m.UNet(**small, channels=(8, 16, 32), strides=(2, 2)), x16)
monai("unet_residual", lambda m: m.UNet(**small, channels=(8, 16, 32), strides=(2, 2), num_res_units=2), x16)
basic = dict(**small, features=(8, 8, 16, 16, 32, 8))
monai("unet_batch", lambda m: m.UNet(**small, channels=(8, 16, 32), strides=(2, 2), num_res_units=2, norm="batch"), x16)
monai("basic_unet", lambda m: m.BasicUNet(**basic), x32)
monai("basic_unet_nontrainable", lambda m: m.BasicUNet(**basic, upsample="nontrainable"), x32)
monai("basic_unet_pixelshuffle", lambda m: m.BasicUNet(**basic, upsample="pixelshuffle"), x32)
monai("basic_unet_44", lambda m: m.BasicUNet(**basic), "1,1,44,44,44")
monai("basic_unet_30", lambda m: m.BasicUNet(**basic), "1,1,30,30,30")
monai("basic_unet_plus_plus", lambda m: m.BasicUNetPlusPlus(**basic), x32)
monai("dynunet", lambda m: m.DynUNet(**small, kernel_size=[3, 3, 3, 3], strides=[1, 2, 2, 2], upsample_kernel_size=[2, 2, 2],
                                     filters=[8, 16, 32, 32]), x32)
monai("dynunet_residual", lambda m: m.DynUNet(**small, kernel_size=[[1, 3, 3], 3, 3], strides=[1, [1, 2, 2], 2],
                                              upsample_kernel_size=[[1, 2, 2], 2], filters=[8, 16, 32], res_block=True), "1,1,8,16,16")
monai("segresnet", lambda m: m.SegResNet(**small, init_filters=8), x16)
monai("segresnet_deconv", lambda m: m.SegResNet(**small, init_filters=8, upsample_mode="deconv"), x16)
monai("segresnet_pixelshuffle", lambda m: m.SegResNet(**small, init_filters=8, upsample_mode="pixelshuffle"), x16)
monai("segresnet_vae", lambda m: m.SegResNetVAE(input_image_size=(16, 16, 16), **small, init_filters=8), x16)
monai("segresnet_ds", lambda m: m.SegResNetDS(**small, init_filters=8, dsdepth=2), x32)
monai("segresnet_ds_instance", lambda m: m.SegResNetDS(**small, init_filters=8, norm="INSTANCE"), x32)
monai("segresnet_ds2", lambda m: m.SegResNetDS2(**small, init_filters=8), x32)
monai("vnet", lambda m: m.VNet(**small), x32)
monai("densenet121", lambda m: m.DenseNet121(**small), x32)
monai("densenet264", lambda m: m.DenseNet264(**small), x32)
for depth in (10, 18, 34, 50, 101, 152, 200):
    monai(f"resnet{depth}", lambda m, d=depth: getattr(m, f"resnet{d}")(spatial_dims=3, n_input_channels=1, num_classes=3), x32)
monai("resnet18_shortcut_a", lambda m: m.resnet18(spatial_dims=3, n_input_channels=1, num_classes=3, shortcut_type="A"), x32)
monai("senet154", lambda m: m.SENet154(spatial_dims=3, in_channels=1, num_classes=3), x32)
monai("seresnet50", lambda m: m.SEResNet50(spatial_dims=3, in_channels=1, num_classes=3), x32)
monai("seresnext50", lambda m: m.SEResNext50(spatial_dims=3, in_channels=1, num_classes=3), x32)
monai("efficientnet_b0", lambda m: m.EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=3, in_channels=1, num_classes=3), x32)
monai("flexible_unet_b0", lambda m: m.FlexibleUNet(in_channels=1, out_channels=2, backbone="efficientnet-b0", spatial_dims=3,
                                                   decoder_channels=(32, 16, 16, 8, 8)), x32)
monai("flexible_unet_resnet18", lambda m: m.FlexibleUNet(in_channels=1, out_channels=2, backbone="resnet18", spatial_dims=3,
                                                         decoder_channels=(32, 16, 16, 8, 8)), x32)
monai("attention_unet", lambda m: m.AttentionUnet(**small, channels=(8, 16, 32), strides=(2, 2)), x16)
monai("highresnet", lambda m: m.HighResNet(**small), x16)
monai("ahnet", lambda m: m.AHNet(**small, psp_block_num=2), x64)
monai("ahnet_trilinear", lambda m: m.AHNet(**small, psp_block_num=2, upsample_mode="trilinear"), x64)
monai("daf3d", lambda m: m.DAF3D(in_channels=1, out_channels=2), x64)
vit = dict(hidden_size=48, mlp_dim=96, num_heads=4)
monai("unetr", lambda m: m.UNETR(**{k: v for k, v in small.items() if k != "spatial_dims"}, img_size=(32, 32, 32), feature_size=8, **vit), x32)
monai("unetr_perceptron", lambda m: m.UNETR(in_channels=1, out_channels=2, img_size=(32, 32, 32), feature_size=8, proj_type="perceptron", **vit), x32)
monai("swin_unetr", lambda m: m.SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=3, num_heads=(1, 2, 2, 4), window_size=4), x64)
monai("swin_unetr_shallow", lambda m: m.SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=3, depths=(1, 1, 1, 1),
                                                  num_heads=(1, 2, 2, 4), window_size=4), x64)
monai("swin_unetr_v2", lambda m: m.SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=3, num_heads=(1, 2, 2, 4),
                                            window_size=4, use_v2=True), x64)
patches = dict(in_channels=1, img_size=(16, 16, 16), patch_size=(8, 8, 8), hidden_size=48, mlp_dim=96)
monai("vit", lambda m: m.ViT(**patches, num_layers=3, num_heads=4, classification=True, num_classes=3), x16)
monai("vit_autoenc", lambda m: m.ViTAutoEnc(**{**patches, "patch_size": (4, 4, 4)}, num_layers=3, num_heads=4), x16)
monai("masked_autoencoder", lambda m: m.MaskedAutoEncoderViT(**patches, num_layers=2, num_heads=4, decoder_hidden_size=48, decoder_mlp_dim=96,
                                                             decoder_num_layers=1, decoder_num_heads=4), x16)


@network("navit", x16)
def navit():
    from monai.networks.nets import NaViT
    class Images(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = NaViT(image_size=16, patch_size=8, num_classes=3, hidden_size=48, mlp_dim=96, num_layers=2, num_heads=4)
        def forward(self, x):
            return self.net([[x[0]]])
    return Images()


monai("voxelmorph_unet", lambda m: m.VoxelMorphUNet(spatial_dims=3, in_channels=2, unet_out_channels=8, channels=(8, 8, 16, 16, 8, 8),
                                                    final_conv_channels=(8, 8)), "1,2,32,32,32")
monai("voxelmorph", lambda m: m.VoxelMorph(), x16, x16)
monai("regunet", lambda m: m.RegUNet(spatial_dims=3, in_channels=2, num_channel_initial=8, depth=2, out_channels=3), "1,2,16,16,16")
monai("localnet", lambda m: m.LocalNet(spatial_dims=3, in_channels=2, num_channel_initial=8, extract_levels=(0, 1, 2), out_channels=3), "1,2,16,16,16")
monai("globalnet", lambda m: m.GlobalNet(image_size=(16, 16, 16), spatial_dims=3, in_channels=2, num_channel_initial=8, depth=2), "1,2,16,16,16")
auto = dict(**small, channels=(8, 16), strides=(2, 2))
monai("autoencoder", lambda m: m.AutoEncoder(**auto), x16)
variational = dict(spatial_dims=3, in_shape=(1, 16, 16, 16), out_channels=1, latent_size=5, channels=(8, 16), strides=(2, 2))
monai("var_autoencoder", lambda m: m.VarAutoEncoder(**variational), x16)


@network("var_autoencoder_mean", x16)
def var_autoencoder_mean():
    from monai.networks.nets import VarAutoEncoder
    class Mean(VarAutoEncoder):
        def reparameterize(self, mu, logvar):
            return mu
    return Mean(**variational)


monai("generator", lambda m: m.Generator(latent_shape=(10,), start_shape=(8, 4, 4, 4), channels=(8, 4), strides=(2, 2)), "1,10")
monai("discriminator", lambda m: m.Discriminator(in_shape=(1, 16, 16, 16), channels=(8, 16), strides=(2, 2)), x16)
monai("critic", lambda m: m.Critic(in_shape=(1, 16, 16, 16), channels=(8, 16), strides=(2, 2)), x16)
monai("classifier", lambda m: m.Classifier(in_shape=(1, 16, 16, 16), classes=3, channels=(8, 16), strides=(2, 2)), x16)
monai("regressor", lambda m: m.Regressor(in_shape=(1, 16, 16, 16), out_shape=(3,), channels=(8, 16), strides=(2, 2)), x16)
monai("fully_connected", lambda m: m.FullyConnectedNet(10, 3, (16, 8), dropout=0.2), "2,10")
monai("var_fully_connected", lambda m: m.VarFullyConnectedNet(10, 10, 4, (16,), (16,)), "2,10")
monai("mednext", lambda m: m.MedNeXt(**small, init_filters=8, kernel_size=3), x32)
monai("mednext_grn", lambda m: m.MedNeXt(**small, init_filters=8, kernel_size=3, use_residual_connection=True, global_resp_norm=True), x32)
diffusion = dict(spatial_dims=3, in_channels=1, out_channels=1, channels=(8, 16, 16), num_res_blocks=1, norm_num_groups=4)
monai("diffusion_unet", lambda m: m.DiffusionModelUNet(**diffusion, attention_levels=(False, False, True), num_head_channels=8), x16, "int:1")
monai("diffusion_unet_conditioned", lambda m: m.DiffusionModelUNet(
    **diffusion, attention_levels=(False, True, True), num_head_channels=8, with_conditioning=True, cross_attention_dim=6,
    resblock_updown=True), x16, "int:1", "1,4,6")
monai("diffusion_unet_classes", lambda m: m.DiffusionModelUNet(
    **diffusion, attention_levels=(False, False, True), num_head_channels=8, num_class_embeds=4), x16, "int:1")

# its class labels are the fourth argument
NETWORKS["diffusion_unet_classes"] = lambda made=NETWORKS["diffusion_unet_classes"]: (
    lambda net, inputs: (WithLabels(net), [*inputs, example("int:1")]))(*made())


class WithLabels(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, timesteps, class_labels):
        return self.net(x, timesteps, class_labels=class_labels)


monai("controlnet", lambda m: m.ControlNet(**{k: v for k, v in diffusion.items() if k != "out_channels"}, attention_levels=(False, False, True),
                                           num_head_channels=8, conditioning_embedding_in_channels=1,
                                           conditioning_embedding_num_channels=(8, 8)), x16, "int:1", x32)
kl = dict(spatial_dims=3, in_channels=1, out_channels=1, num_res_blocks=(1, 1), channels=(8, 16), attention_levels=(False, True), latent_channels=3,
          norm_num_groups=4)
monai("autoencoder_kl", lambda m: GivenNoise(m.AutoencoderKL(**kl)), x16, "1,3,8,8,8")


@network("autoencoder_kl_reconstruct", x16)
def autoencoder_kl_reconstruct():
    from monai.networks.nets import AutoencoderKL
    class Reconstruct(AutoencoderKL):
        def forward(self, x):
            return self.reconstruct(x)
    return Reconstruct(**kl)


monai("autoencoder_kl_convtranspose", lambda m: GivenNoise(m.AutoencoderKL(**kl, use_convtranspose=True)), x16, "1,3,8,8,8")
monai("vqvae", lambda m: m.VQVAE(spatial_dims=3, in_channels=1, out_channels=1, channels=(8, 8), num_res_channels=(8, 8), num_res_layers=1,
                                 num_embeddings=16, embedding_dim=8, downsample_parameters=((2, 4, 1, 1), (2, 4, 1, 1)),
                                 upsample_parameters=((2, 4, 1, 1, 0), (2, 4, 1, 1, 0))), x16)
monai("spadenet_vae", lambda m: GivenNoise(m.SPADENet(3, 1, 1, 3, input_shape=[16, 16, 16], channels=[16, 8], z_dim=8, is_vae=True)),
      "1,3,16,16,16", x16, "1,8")
monai("spadenet", lambda m: m.SPADENet(3, 1, 1, 3, input_shape=[16, 16, 16], channels=[16, 8], is_vae=False), "1,3,16,16,16")
monai("spade_autoencoder_kl", lambda m: GivenNoise(m.SPADEAutoencoderKL(label_nc=3, **kl)), x16, "1,3,16,16,16", "1,3,8,8,8")
monai("spade_diffusion_unet", lambda m: m.SPADEDiffusionModelUNet(label_nc=3, **diffusion, attention_levels=(False, False, True),
                                                                  num_head_channels=8), x16, "int:1", "1,3,16,16,16")
monai("patch_discriminator", lambda m: m.PatchDiscriminator(spatial_dims=3, in_channels=1, channels=8, num_layers_d=2), x16)
monai("multi_scale_patch_discriminator", lambda m: m.MultiScalePatchDiscriminator(num_d=2, num_layers_d=2, spatial_dims=3, in_channels=1,
                                                                                  channels=8), x32)
monai("quicknat", lambda m: m.Quicknat(num_classes=3, num_channels=1, num_filters=8), "1,1,32,32")
monai("decoder_transformer", lambda m: m.DecoderOnlyTransformer(num_tokens=10, max_seq_len=16, attn_layers_dim=16, attn_layers_depth=2,
                                                                attn_layers_heads=4), "int:1,8")


@network("dints", x32)
def dints():
    from monai.networks.nets import DiNTS, TopologyInstance
    import numpy as np
    arch = np.ones((4, 10))
    return DiNTS(dints_space=TopologyInstance(channel_mul=0.25, num_blocks=4, num_depths=3, use_downsample=True, arch_code=[arch, arch]),
                 in_channels=1, num_classes=2)


@network("vista3d", x32)
def vista3d():
    from monai.networks.nets import vista3d132
    class Classes(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = vista3d132(encoder_embed_dim=8, in_channels=1)
        def forward(self, x):
            return self.net(x, class_vector=torch.tensor([[1], [2]]))
    return Classes()


@network("hyena_nd_unetr", x32)
def hyena():
    from monai.networks.nets import HyenaNDUNETR
    return HyenaNDUNETR(in_channels=1, out_channels=2, hyena_stages=(True, False, False, False))


# ------------------------------------------------------------------ torchvision, pytorchvideo, nnU-Net, timm_3d
clip = "1,3,4,32,32"
for name in ("r3d_18", "mc3_18", "r2plus1d_18"):
    torchvision(name, clip, num_classes=5)
torchvision("s3d", "1,3,16,224,224", num_classes=5)
torchvision("mvit_v1_b", "1,3,16,224,224", num_classes=5)
torchvision("mvit_v2_s", "1,3,16,224,224", num_classes=5)
torchvision("swin3d_t", "1,3,8,32,32", num_classes=5)
torchvision("swin3d_b", "1,3,8,32,32", num_classes=5)


@network("swin3d_small", "1,3,4,24,24")
def swin3d_small():
    from torchvision.models.video.swin_transformer import SwinTransformer3d
    return SwinTransformer3d(patch_size=[2, 4, 4], embed_dim=12, depths=[2], num_heads=[2], window_size=[2, 3, 3], num_classes=5,
                             stochastic_depth_prob=0)


@network("ptv_x3d_s", "1,3,4,64,64")
def x3d():
    from pytorchvideo.models.x3d import create_x3d
    return create_x3d(input_clip_length=4, input_crop_size=64, model_num_class=5, head_activation=None)


@network("ptv_slow_r50", "1,3,4,64,64")
def slow():
    from pytorchvideo.models.resnet import create_resnet
    return create_resnet(model_num_class=5, head_pool_kernel_size=(4, 2, 2))


@network("ptv_slowfast_r50")
def slowfast():
    from pytorchvideo.models.slowfast import create_slowfast
    class TwoClips(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = create_slowfast(model_num_class=5, head_pool_kernel_sizes=((2, 2, 2), (8, 2, 2)))
        def forward(self, slow, fast):
            return self.net([slow, fast])
    return TwoClips()


NETWORKS["ptv_slowfast_r50"] = lambda made=NETWORKS["ptv_slowfast_r50"]: (made()[0], [torch.randn(1, 3, 2, 64, 64), torch.randn(1, 3, 8, 64, 64)])


@network("ptv_csn_r101", "1,3,4,64,64")
def csn():
    from pytorchvideo.models.csn import create_csn
    return create_csn(model_num_class=5, head_pool_kernel_size=(1, 2, 2))


@network("ptv_r2plus1d_r50", "1,3,4,64,64")
def r2plus1d():
    from pytorchvideo.models.r2plus1d import create_r2plus1d
    return create_r2plus1d(model_num_class=5, head_pool_kernel_size=(1, 2, 2))


@network("nnunet_plain", x16)
def nnunet_plain():
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    return PlainConvUNet(1, 3, (8, 16, 32), nn.Conv3d, 3, (1, 2, 2), (2, 2, 2), 2, (2, 2), conv_bias=True, norm_op=nn.InstanceNorm3d,
                         norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=True)


@network("nnunet_residual", x16)
def nnunet_residual():
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
    return ResidualEncoderUNet(1, 4, (8, 16, 32, 32), nn.Conv3d, 3, (1, 2, 2, 2), (1, 2, 2, 2), 2, (1, 1, 1), conv_bias=True,
                               norm_op=nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU,
                               nonlin_kwargs={"inplace": True})


for name in ("convnext_tiny", "efficientnet_b0", "resnet50d"):
    @network("timm3d_" + name, "1,3,32,32,32")
    def timm(name=name):
        import timm_3d
        return timm_3d.create_model(name, pretrained=False, num_classes=5)


# ------------------------------------------------------------------ ours: what those leave out
class Unit3D(nn.Module):
    def __init__(self, i, o, kernel=(1, 1, 1), stride=(1, 1, 1)):
        super().__init__()
        self.stride, self.kernel = stride, kernel
        self.conv3d = nn.Conv3d(i, o, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(o, eps=1e-3, momentum=0.01)

    def forward(self, x):
        amounts = []
        for k, s, n in reversed(list(zip(self.kernel, self.stride, x.shape[2:]))):
            total = max(k - s if n % s == 0 else k - n % s, 0)
            amounts += [total // 2, total - total // 2]
        return torch.relu(self.bn(self.conv3d(nn.functional.pad(x, amounts))))


class Inception(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.b0 = Unit3D(i, o[0])
        self.b1a, self.b1b = Unit3D(i, o[1]), Unit3D(o[1], o[2], (3, 3, 3))
        self.b2a, self.b2b = Unit3D(i, o[3]), Unit3D(o[3], o[4], (3, 3, 3))
        self.b3a, self.b3b = nn.MaxPool3d((3, 3, 3), stride=1, padding=1), Unit3D(i, o[5])

    def forward(self, x):
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


@network("i3d", "1,3,8,32,32")
def i3d():
    class I3D(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(Unit3D(3, 16, (7, 7, 7), (2, 2, 2)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)), Unit3D(16, 16),
                                      Unit3D(16, 24, (3, 3, 3)))
            self.blocks = nn.ModuleList([Inception(24, (8, 8, 16, 4, 4, 4)), Inception(32, (8, 8, 16, 4, 8, 4))])
            self.logits = nn.Conv3d(36, 5, 1)

        def forward(self, x):
            x = self.stem(x)
            for block in self.blocks:
                x = block(x)
            return self.logits(nn.functional.avg_pool3d(x, (4, 4, 4), 1)).squeeze(-1).squeeze(-1).mean(2)
    return I3D()


@network("several_results", "1,2,8,8,8", "1,2,8,8,8")
def several_results():
    class Encoder(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.conv = nn.Conv3d(i, o, 3, padding=1)
            self.down = nn.AvgPool3d(2)

        def forward(self, pair):
            x, y = pair
            x = nn.functional.gelu(self.conv(x))
            return self.down(x), [x, self.down(y)]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([Encoder(2, 4), Encoder(4, 6)])
            self.shared = nn.Conv3d(2, 2, 1)
            self.scale = nn.Parameter(torch.tensor(0.5))

        def forward(self, fixed, moving):
            y, skips = self.shared(moving), []
            x = fixed - self.shared(fixed) * self.scale
            for layer in self.layers:
                x, (skip, y) = layer((x, y))
                skips.append(skip)
            return {"deep": x, "skips": skips, "other": y}
    return Net()


@network("in_place", "2,3,6,6,6")
def in_place():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(3, 4, 3, padding=1)
            self.act = nn.ReLU(inplace=True)
            self.register_buffer("table", torch.arange(12.).reshape(3, 4))

        def forward(self, x):
            y = self.act(self.conv(x))
            y[:, 0] = y[:, 1] * 2
            y[:, 2:, 1:3].mul_(0.5)
            mask = torch.zeros(6, 6)
            mask[:3] = 1
            mask[:, 4:] += 0.25
            z = self.act(y - 1)
            out = torch.zeros(2, 5, 6, 6, 6)
            out[:, 1:] = z * mask
            first, rest = z.split([1, 3], 1)  # pieces are views: what changes them changes z, and the other way round
            rest.mul_(2)
            z += 1
            first[..., ::2] = rest[:, :1, :, :, :3]
            for row in z.unbind(2):
                row[:, [0, 2]] = 0.25
            z.flatten(1).mul_(2)  # a view
            copied = z.transpose(1, 2).flatten(1)
            copied += 1  # not of z
            rows = torch.zeros(4, 3)
            upper, lower = rows.chunk(2)
            upper += 1
            rows.t()[0] = 9
            rows[0] = z[0, :3, 0, 0, 0]
            lower.add_(upper)
            moved = self.table.clone()
            moved[0] += 0.5
            return out, torch.matmul(x[:, :, 0, 0, :4], self.table.t() - 4), z, copied, rows, moved * rows.T
    return Net()


@network("planes", "2,3,16,16")
def planes():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(8)
            self.pool = nn.MaxPool2d(2)
            self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
            self.norm = nn.InstanceNorm2d(4, affine=True)
            self.shuffle = nn.PixelShuffle(2)
            self.line = nn.Conv1d(1, 3, 5, padding=2)

        def forward(self, x):
            y = self.norm(self.up(self.pool(torch.nn.functional.silu(self.bn(self.conv(x))))))
            y = torch.nn.functional.interpolate(y, scale_factor=2, mode="bilinear")
            z = self.shuffle(y).flatten(1).unsqueeze(1)
            return nn.functional.adaptive_avg_pool1d(self.line(z), 4), torch.nn.functional.interpolate(y, size=(5, 7), mode="bicubic")
    return Net()


@network("attention", "2,9,16", "2,5,16")
def attention():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.self_attention = nn.MultiheadAttention(16, 4, batch_first=True)
            self.q, self.kv = nn.Linear(16, 16, bias=False), nn.Linear(16, 32)
            self.norm = nn.LayerNorm(16)
            self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(approximate="tanh"), nn.Dropout(0.1), nn.Linear(32, 16))

        def forward(self, x, context):
            y = self.norm(x)
            x = x + self.self_attention(y, y, y, need_weights=False)[0]
            k, v = self.kv(context).chunk(2, dim=-1)
            heads = lambda t: t.unflatten(-1, (4, 4)).transpose(1, 2)
            a = nn.functional.scaled_dot_product_attention(heads(self.q(x)), heads(k), heads(v))
            causal = nn.functional.scaled_dot_product_attention(heads(x), heads(x), heads(x), is_causal=True)
            return self.mlp((a + causal).transpose(1, 2).flatten(2)) + torch.einsum("bic,bjc->bij", x, context) @ context
    return Net()


@network("written_attention", "4,6,8")
def written_attention():
    """Attention without its function: three spellings that are one step each, and three that stay as they are."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.drop = nn.Linear(8, 24), nn.Dropout(0.1)
            self.softmax = nn.Softmax(dim=-1)
            self.rows, self.heads, self.windows = (nn.Parameter(torch.randn(e)) for e in ((6, 6), (2, 6, 6), (2, 6, 6)))

        def forward(self, x):
            q, k, v = self.qkv(x).reshape(4, 6, 3, 2, 4).permute(2, 0, 3, 1, 4)
            a = torch.einsum("bhid,bhjd->bhij", q, k) * 0.5
            a = torch.einsum("bhij,bhjd->bhid", self.drop(self.softmax(a)), v)
            flat = lambda t: t.reshape(8, 6, 4)
            b = torch.bmm(flat(q), flat(k).transpose(1, 2)) / 1.5 + self.rows
            b = torch.bmm(b.softmax(2), flat(v)).view(4, 2, 6, 4)
            c = (q * 0.7) @ k.transpose(-2, -1) + self.heads.unsqueeze(0)
            c = (c.view(2, 2, 2, 6, 6) + self.windows.unsqueeze(1).unsqueeze(0)).view(4, 2, 6, 6)
            c = self.drop(self.softmax(c)) @ v
            read = (q @ k.transpose(-2, -1)).softmax(-1)
            late = ((q @ k.transpose(-2, -1) + self.rows) * 0.25).softmax(-1) @ v
            across = (q @ k.transpose(-2, -1)).softmax(-2) @ v
            return a + b + c + late + across + read @ v + read.amax(-1, keepdim=True)
    return Net()


@network("tables", "int:2,4", "2,4,6")
def tables():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(3, 6)
            self.bias = nn.Parameter(torch.randn(7, 2))
            i = torch.arange(4)
            self.register_buffer("index", i[:, None] - i[None, :] + 3)

        def forward(self, tokens, x):
            b = self.bias[self.index.view(-1)].view(4, 4, 2).permute(2, 0, 1)
            y = torch.roll(self.words(tokens) + x, shifts=(1, -2), dims=(1, 2))
            later = torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
            scores = (y @ y.mT).masked_fill(later, float("-inf")).softmax(-1)
            norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return scores @ y + norm, b.unsqueeze(0) * scores.unsqueeze(1), torch.where(x > 0, x.amax(1, keepdim=True), x.flip(2).clamp(min=-0.5))
    return Net()


@network("single_layer", "1,2,4,5,6")
def single_layer():
    return nn.Conv3d(2, 3, (2, 3, 4), padding="same", dilation=(1, 2, 1))


@network("formulas", "2,4,5,6", "4,6", "2,3,4,2")
def formulas():
    """What PyTorch makes of other operations, or what is a formula here; and names that C++ has taken."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.int = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 2, (2, 3), padding="same", padding_mode="circular"))
            self.NULL = nn.Conv2d(4, 3, 3, padding=1)
            self.std = nn.LSTM(6, 3)
            self.bn = nn.BatchNorm1d(6)
            self.Softplus = nn.Softplus(beta=2, threshold=1)
            self.register_buffer("mean", torch.tensor([0.25, 0.5, -0.125, 1.5]))

        def forward(self, inputs, line, grid):
            x = self.Softplus(inputs - self.mean.view(4, 1, 1)) - torch.tensor([0.1, 0.7, 1.3, -0.2]).view(4, 1, 1)
            planes = self.int(x), self.NULL(x[0]), nn.functional.max_pool2d(x[0], 2, ceil_mode=True)
            patches = nn.functional.unfold(x, (2, 3), stride=(2, 1), padding=(0, 1))
            folded = nn.functional.fold(patches, (5, 6), (2, 3), stride=(2, 1), padding=(0, 1))
            sampled = nn.functional.grid_sample(x, grid, align_corners=False)
            rounded = torch.cat([(line * 3).round() / 2, line % 0.4, torch.div(line, 0.3, rounding_mode="trunc"), line.long().float()])
            sums = line.cumsum(0), line[:, :4].prod(1), *torch.var_mean(line, 1), (line > 1).any(0).float(), (line < 1).all(1).float()
            best = *line.min(1), *line.topk(1), line.argmin()
            places = x[:, [0, 1, 1], :, [2, 0, -1]], line.gather(1, torch.tensor([[5, 0], [1, 2]])), line.diagonal(1), line.unfold(1, 3, 2), line.tril()
            heads = nn.functional.scaled_dot_product_attention(x, x[:, :2], x[:, 2:], enable_gqa=True)
            products = torch.einsum("...ij,...kj->...ik", x, x), torch.einsum("ij->j", line), nn.functional.cosine_similarity(x, x.roll(3), dim=1)
            return {"int": planes, "a b": [folded, sampled, rounded], "sums": sums, "best": best, "places": places, "heads": heads,
                    "products": products, "steps": self.std(self.bn(line))[0], "norm": torch.cdist(line, line[:2]) + line.norm(p=1, dim=1, keepdim=True)}
    return Net()


@network("drop_path", "2,3,8,8,8")
def drop_path():
    from torchvision.ops import StochasticDepth
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(3, 3, 3, padding=1, groups=3, padding_mode="replicate")
            self.norm = nn.GroupNorm(1, 3)
            self.drop = StochasticDepth(0.2, "row")

        def forward(self, x):
            return x + self.drop(self.norm(self.conv(x)))
    return nn.Sequential(Block(), nn.Dropout3d(0.1), Block(), nn.Hardswish())


@network("in_order", "2,6,8", "2,6,8")
def in_order():
    """Few numbers in order, numbers put to places that are computed, and arithmetic of masks and of small types."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(8, 8)

        def forward(self, x, y):
            scores = self.gate(x)
            best, where = scores.topk(3, dim=-1)
            gates = torch.zeros_like(x).scatter_(-1, where, best.softmax(-1))
            hot = torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.0)
            sums = x.scatter_add(1, torch.tensor([0, 2, 2]).view(1, 3, 1).expand(2, 3, 8), y)
            ordered = *x.sort(1, descending=True), *(x * 2).round().sort(stable=True, dim=1), x.argsort(2), *y.median(2), y.kthvalue(2, 1)[0]
            least = *x.topk(2, largest=False), torch.sort(x.masked_fill(y > 0, float("-inf")), stable=True, dim=1, descending=True)[1]
            light = torch.cumprod(1 - x.sigmoid() + 1e-10, -1), y.cumprod(0)
            either = (x > 0) + (y > 0)
            either |= x < -1
            truth = torch.logical_or(x.round(), y > 1), torch.logical_xor(x.round(), y), either
            wraps = (x > 0).byte() - 1, (x * 300).long().byte(), (x * 60).long().to(torch.int8) * 3, 1 - (y > 0).byte()
            whole = (x * 300).long()
            whole //= 7
            raised = x.abs()
            raised **= y
            ends = (x * 3).sum(1, dtype=torch.long), (x * 3).cumsum(1, dtype=torch.long), (x[..., :4] * 3).prod(2, dtype=torch.long)
            curves = torch.asinh(x * 3) + torch.atanh(y / 2), torch.hypot(x, y), x.round(decimals=1)
            return gates * x, hot, sums, ordered, least, light, truth, wraps, curves, whole, raised, ends
    return Net()


@network("named_as_parameters", "1,2,4,4,4")
def named_as_parameters():
    """Attributes, variables and classes with the names that the exporter gives to template parameters."""
    class N(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.conv, self.skip, self.Out = nn.Conv3d(i, o, 3, padding=1), nn.Conv3d(i, o, 1), nn.PReLU(o)

        def forward(self, x):
            In = self.conv(x)
            Out = self.Out(In.relu() * In.sigmoid() + In)
            Scale = self.skip(x)
            Kernel2 = Scale * Out + Scale
            return Kernel2 * Out + Kernel2
    return nn.Sequential(N(2, 4), N(4, 6))


@network("scalars", "", "2,3")
def scalars():
    """Sums, maxima, norms and orders of what has no axes."""
    class Net(nn.Module):
        def forward(self, x, z):
            y = z.sum() - 3
            whole = y.cumsum(0), y.cumprod(0), y.prod(), y.sum(), x.mean(), y.mean(-1), x.std(unbiased=False), y.sort()[0]
            largest = x.max(), y.max(0)[0], y.amin(), y.argmax(), y.argmin(0), y.topk(1)[1], (y > 0).any(), (y > 0).all()
            return *whole, *largest, (-x).norm(), (x - 9).norm(), torch.linalg.vector_norm(y, 1), x.softmax(0), y.log_softmax(-1), y.logsumexp(0)
    return Net()


@network("stopped", "2,3,4,4,4")
def stopped():
    """Where no gradient goes: detach, no_grad, with operations in place inside and behind it, and gradients again inside of that."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(3, 4, 3, padding=1)
            self.teacher = nn.Conv3d(4, 4, 1)
            self.head = nn.Conv3d(4, 3, 1)

        def forward(self, x):
            y = self.conv(x)
            with torch.no_grad():
                weights = self.teacher(y).sigmoid()
                weights[:, 0] *= 2
                with torch.enable_grad():
                    scale = y.amax((2, 3, 4), keepdim=True)
            weights[:, 1] = scale[:, 1]
            y = y + ((y * 2).round() / 2 - y).detach()
            return self.head(torch.relu(y) * weights) + self.teacher.weight.detach().mean()
    return Net()


@network("trained_otherwise", "int:2,4")
def trained_otherwise():
    """What an inference does not show: the header names all of it (NOTES)."""
    from torchvision.ops import StochasticDepth
    class Reversed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return -g

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(3, 6, padding_idx=0)
            self.norm = nn.BatchNorm1d(4, momentum=None)
            self.fixed = nn.Linear(6, 6).requires_grad_(False)
            self.drop = nn.Sequential(nn.FeatureAlphaDropout(0.1), StochasticDepth(0.2, "batch"))
            self.out = nn.Linear(6, 3, bias=False)
            self.out.weight = self.words.weight

        def forward(self, tokens):
            return self.out(Reversed.apply(self.drop(self.fixed(self.norm(self.words(tokens))))))
    return Net()


NOTES["trained_otherwise"] = [
    "Alpha dropout, and dropout of whole channels of what has none, do nothing here: training differs from PyTorch's",
    "Batch norm with momentum=None keeps its running statistics as they are: training differs from PyTorch's",
    "Not trained in PyTorch (requires_grad = False), but here, unless their rate is 0: fixed.weight, fixed.bias",
    "One parameter in PyTorch, which training moves apart here: out.weight with words.weight",
    "Reversed has derivatives of its own in PyTorch, here those of its forward: training differs",
    "The row that an embedding has for padding learns: training differs from PyTorch's",
    "StochasticDepth asks self.training: what is written here is its inference"]


@network("rewritten", "2,5,6")
def rewritten():
    """Tensors that are filled piece by piece, views whose shape changes in place, a transformer with its mask, a GRU."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 1)
            self.gru = nn.GRU(6, 3, batch_first=True, bidirectional=True)
            self.register_buffer("last", torch.zeros(5))
            self.register_buffer("unread", torch.ones(6))

        def filled(self, x, y):
            out = torch.empty(2, 5, 6)
            out[:, :2] = x[:, 3:]
            for t in range(2, 5):
                out[:, t] = y[:, t - 2]
            return out

        def forward(self, x):
            y = self.layer(x, mask=nn.Transformer.generate_square_subsequent_mask(5))
            z, h = self.gru(y)
            self.last.copy_(x.mean((0, 2)))
            self.unread + y  # comes to nothing
            whole = torch.zeros(2, 5, dtype=torch.long)
            whole[:, 1] = x[:, 0, 0] * 5
            whole[0, 2:] = 3.7
            a = x.clone()
            row = a[:, 0]
            row.unsqueeze_(1)
            row += 1
            inner = row[..., 2:4]
            pair = a[:, 1:3]
            pair.transpose_(1, 2)
            pair *= 2
            a.add_(0.5)
            taps = torch.zeros(6)
            taps[2] = 1
            taps.unsqueeze_(-1)
            least = x - (-y.flatten(1).view_as(x).abs()).amin(2, keepdim=True)
            return self.filled(x, y), z, h, least, x + self.last.unsqueeze(-1), whole, a, row, pair, inner, x @ taps
    return Net()


@network("recurrent_cells", "1,3,2,4,4,4")
def recurrent_cells():
    """A cell whose state goes round a loop, with names in the order of what it returns; results in a dataclass; weights of a plain list."""
    @dataclasses.dataclass
    class Result:
        last: torch.Tensor
        states: list
        unused: torch.Tensor = None

    class Cell(nn.Module):
        def __init__(self, i, h):
            super().__init__()
            self.gates = nn.Conv3d(i + h, 4 * h, 3, padding=1)

        def forward(self, x, state):
            h, c = state
            i, f, o, g = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            return h, c

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = Cell(2, 3)
            self.heads = [nn.Conv3d(3, 1, 1)]

        def forward(self, x):
            state = x.new_zeros(1, 3, 4, 4, 4), x.new_zeros(1, 3, 4, 4, 4)
            for frame in x.unbind(1):
                hidden, memory = self.cell(frame, state)
                state = hidden, memory
            return Result(self.heads[0](hidden), [hidden, memory])
    return Net()


@network("unpooled", "1,1,8,9,10", "1,2,6,7")
def unpooled():
    """Back up by the places of maxima: in volumes whose last planes no window has, and in planes."""
    class Down(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.conv, self.pool = nn.Conv3d(i, o, 3, padding=1), nn.MaxPool3d(2, return_indices=True)

        def forward(self, x):
            x = torch.relu(self.conv(x))
            y, places = self.pool(x)
            return y, places, x.shape

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.down1, self.down2 = Down(1, 3), Down(3, 4)
            self.unpool = nn.MaxUnpool3d(2)
            self.up2, self.up1 = nn.Conv3d(4, 3, 3, padding=1), nn.Conv3d(3, 2, 3, padding=1)

        def forward(self, x, plane):
            x, places1, shape1 = self.down1(x)
            x, places2, shape2 = self.down2(x)
            x = self.up2(self.unpool(x, places2, output_size=shape2))
            low, places = nn.functional.max_pool2d(plane, (2, 3), return_indices=True)
            back = nn.functional.max_unpool2d(low * 2, places, (2, 3), output_size=plane.shape[2:])
            return self.up1(self.unpool(x, places1, output_size=shape1)), places1, back
    return Net()


@network("computed_places", "2,3,6,5", "int:4", "2,3,4,5")
def computed_places():
    """Numbers set and added at places that are computed, or known and more than one at a place; scatter_reduce."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("several", torch.arange(-40, 40) % 6 - 3)

        def forward(self, x, t, y):
            put = torch.zeros(2, 3, 6, 5)
            put[:, :, t] = y
            pairs = x.clone()
            pairs[:, t[:2], t[2:] + 1] = y[:, :2, 0]
            behind = x.clone()
            behind[:, :, t - 3] = 1
            sums = (x.index_add(2, torch.tensor([0, 0, 1]), x[:, :, :3], alpha=2), x.index_add(-1, t[:3], x[..., :3]),
                    x.index_put((torch.tensor([0, 1, 1]), torch.tensor([2, -1, 2])), x[:, 0, 0].sum(), accumulate=True),
                    x[0, 0].index_put((self.several,), torch.ones(5), accumulate=True))
            behind[x < -1] = x.mean()
            behind[:, x[0, :, 0, 0] > 0] = x[0, 0]
            copies = x.index_fill(2, t, 3.), x.index_copy(2, (t + torch.arange(4)) % 6, y)
            best, order = x.argmax(1, keepdim=True), x.argsort(1)
            reduced = (x.scatter_reduce(1, best, x[:, :1], "sum"), x.scatter(1, best, 1., reduce="add"),
                       *(x.scatter_reduce(1, order // 2, x * 2, how) for how in ("amax", "amin", "prod")))
            return put, pairs, behind, sums, copies, reduced, [torch.cdist(x, y, p=p) for p in (1, 3, float("inf"))]
    return Net()


@network("small_matrices", "2,4,4", "2,4")
def small_matrices():
    """Determinants and inverses of up to 4 rows; results with infinities and what is no number."""
    class Net(nn.Module):
        def forward(self, x, y):
            m = x + 3 * torch.eye(4)
            parts = [m[:, :n, :n] for n in (1, 2, 3, 4)]
            inverses = *(torch.linalg.inv(p) for p in parts), torch.linalg.solve(m, y), torch.linalg.solve(m[0], x)
            determinants = *(torch.det(p) for p in parts), *torch.linalg.slogdet(-m[:, :3, :3]), torch.logdet(m)
            raised = y.masked_fill(y > 1, float("inf")).masked_fill(y < -1, float("-inf")), x.sqrt()
            curves = torch.acosh(y.abs() + 1), torch.signbit(y).float(), torch.copysign(x, y[:, None])
            return inverses, determinants, raised, curves
    return Net()


@network("fourier", "1,2,8,6,10")
def fourier():
    """A Fourier layer whose low modes complex weights multiply, in a step each of a copy in place."""
    class Spectral(nn.Module):
        def __init__(self, i, o, modes):
            super().__init__()
            self.modes = modes
            self.low, self.high = (nn.Parameter(torch.randn(i, o, *modes, dtype=torch.cfloat)) for _ in range(2))

        def forward(self, x):
            d, h, w = self.modes
            waves = torch.fft.rfftn(x, dim=(-3, -2, -1))
            out = torch.zeros(x.shape[0], self.low.shape[1], *x.shape[2:4], x.shape[4] // 2 + 1, dtype=torch.cfloat)
            out[:, :, :d, :h, :w] = torch.einsum("bixyz,ioxyz->boxyz", waves[:, :, :d, :h, :w], self.low)
            out[:, :, -d:, :h, :w] = torch.einsum("bixyz,ioxyz->boxyz", waves[:, :, -d:, :h, :w], self.high)
            return torch.fft.irfftn(out, s=x.shape[2:])

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Spectral(2, 4, (3, 2, 4)), Spectral(4, 3, (2, 2, 3))
            self.skip = nn.Conv3d(2, 4, 1)

        def forward(self, x):
            return self.second(nn.functional.gelu(self.first(x) + self.skip(x)))
    return Net()


@network("complex_numbers", "2,3,8,9", "2,16,8")
def complex_numbers():
    """Fourier transforms of all kinds and extents, rotary embeddings and what else networks do with complex numbers."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.filter = nn.Parameter(torch.randn(8, 5, 3, 2))
            turn = torch.outer(torch.arange(20.), 100 ** -torch.linspace(0, 1, 4))
            self.register_buffer("turns", torch.polar(torch.ones_like(turn), turn))

        def forward(self, x, tokens):
            y = torch.fft.rfft2(x.permute(0, 2, 3, 1), dim=(1, 2), norm="ortho") * torch.view_as_complex(self.filter)
            y = torch.fft.irfft2(y, s=(8, 9), dim=(1, 2), norm="ortho")
            rotated = torch.view_as_real(torch.view_as_complex(tokens.unflatten(-1, (4, 2))) * self.turns[:16]).flatten(2)
            z = torch.fft.fft2(x, norm="forward")
            z = z * 1j + (2 - 3j) * z.conj() + z / (1 + z.real) - 1
            z[:, 0] = z[:, 1] / z[:, 2]
            z[:, 1, :2] *= 0.5
            sizes = (torch.fft.ifft(z, n=12).abs(), torch.fft.irfft(z[..., :5], n=7), torch.view_as_real(torch.fft.rfft(x, n=6)),
                     torch.fft.fftn(x).imag)
            centred = torch.fft.ifftshift(torch.complex(x, x ** 2), dim=(2, 3))
            centred = torch.fft.fftshift(torch.fft.fftn(centred, dim=(2, 3), norm="ortho"), dim=(2, 3))
            again = torch.fft.irfftn(torch.fft.rfftn(x, s=(5, 12)), s=(5, 12)), torch.fft.ifft(torch.fft.fft(x, dim=1), dim=1).real
            product = torch.matmul(centred, centred.transpose(-1, -2))
            whole = torch.stack([product, product.conj()], 1).sum(2).reshape(2, -1).imag
            return y, rotated, z.real, sizes, torch.view_as_real(torch.exp(centred * 0.1)), again, whole
    return Net()


@network("caches", "2,5,8")
def caches():
    """Constants that a first run keeps, in a dictionary and of a function; a buffer that is none before, and one that each run changes."""
    @functools.lru_cache
    def places(n):
        return torch.arange(n).float()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", None, persistent=False)
            self.register_buffer("mean", torch.zeros(8))
            self.made = {}

        def forward(self, x):
            n = x.shape[1]
            if self.mask is None:
                self.mask = torch.triu(torch.full((n, n), float("-inf")), 1)
            if n not in self.made:
                self.made[n] = torch.linspace(0, 1, n)
            self.mean.mul_(0.9).add_(x.mean((0, 1)))
            return (x @ x.mT + self.mask).softmax(-1) @ x - self.mean + (self.made[n] * places(n)).unsqueeze(-1)
    return Net()


@network("chosen_elements", "2,3,4,5", "2,3,4,5")
def chosen_elements():
    """Elements that a mask chooses: worked on one by one and put back, summed, averaged."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.randn(3, 1, 1))

        def forward(self, x, y):
            x = x * self.scale
            low, rows = x < -0.5, x[0, :, 0, 0] > 0
            in_place = y.clone()
            in_place[low] *= 3
            moved = torch.zeros_like(x)
            moved[low] = x[low].exp() + 1 - y[low]
            moved[x > 0.5] = y[x > 0.5]
            some = torch.zeros_like(x)
            some[:, rows] = x[:, rows] * 2
            kept = x.clone()
            before = kept[low]
            kept += 1
            kept[low] = before
            roots = x.clone()
            roots[roots > 0.25] = roots[roots > 0.25].sqrt()
            return in_place, moved, some, kept, roots, x[low].sum(), x[low].mean(), x[rows[None].expand(2, 3)].mean()
    return Net()


@network("one_input_twice", "1,2,4,4,4")
def one_input_twice():
    """Exported with one tensor for both of its inputs."""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(2, 2, 3, padding=1)

        def forward(self, fixed, moving):
            return fixed - self.conv(moving)
    return Net()


NETWORKS["one_input_twice"] = lambda made=NETWORKS["one_input_twice"]: (lambda net, inputs: (net, inputs * 2))(*made())


# ------------------------------------------------------------------ ours, to be refused
@network("refused_angle", "1,1,8,8,8")
def refused_angle():
    class Net(nn.Module):
        def forward(self, x):
            return torch.fft.rfftn(x).angle()
    return Net()


@network("refused_count", "1,4")
def refused_count():
    class Net(nn.Module):
        def forward(self, x):
            return x.sum() / x[x > 0].numel()
    return Net()


@network("refused_item", "1,4")
def refused_item():
    class Net(nn.Module):
        def forward(self, x):
            return x / x.max().item()
    return Net()


@network("refused_functional", "1,4")
def refused_functional():
    class Net(nn.Module):
        def forward(self, x):
            return torch.func.grad(lambda v: (v ** 3).sum())(x)
    return Net()


@network("refused_torchscript", "1,4")
def refused_torchscript():
    return nn.Sequential(torch.jit.script(nn.Linear(4, 4)), nn.ReLU())


@network("refused_control_flow", "1,4")
def refused_control_flow():
    class Net(nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x
    return Net()
