#!/usr/bin/env python3
"""What nibabel 5.4, SciPy 1.17 and scikit-image 0.26 make of a small volume: writes imaging.npz, imaging_*.nii and imaging_*.nii.gz.

    python3 -m venv venv
    venv/bin/pip install nibabel scipy scikit-image
    venv/bin/python imaging.py
"""
import os

import nibabel as nib
import numpy as np
from scipy import ndimage as ndi
from skimage.transform import resize

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(3)
x = ndi.gaussian_filter(rng.normal(size=(6, 7, 9)), 0.7).astype(np.float32)  # (z, y, x)
labels = rng.integers(0, 4, size=x.shape).astype(np.int32)
r = {"x": x, "labels": labels}

# A file whose axes are neither in order nor along the patient's: x runs back, y runs up and a little to the left, z runs left.
turn = np.array([[0.05, -0.1, -2.0], [-1.5, 0.08, 0.1], [0.1, 1.2, 0.05]])
affine = np.eye(4)
affine[:3, :3], affine[:3, 3] = turn, (10, -20, 30)
image = nib.Nifti1Image(x.transpose(), affine)  # nibabel: (x, y, z)
image.header.set_slope_inter(2, 5)
image.set_sform(affine, 1)
nib.save(image, "imaging_float.nii.gz")
r["read"] = np.ascontiguousarray(nib.load("imaging_float.nii.gz").get_fdata(dtype=np.float32).transpose())
canonical = nib.as_closest_canonical(nib.Nifti1Image(x.transpose(), affine))
r["canonical"] = np.ascontiguousarray(canonical.get_fdata(dtype=np.float32).transpose())
r["canonical_affine"], r["affine"] = canonical.affine[:3], affine[:3]
assert nib.aff2axcodes(affine) == ("P", "S", "L"), nib.aff2axcodes(affine)

# Big-endian whole numbers with a qform only, two frames.
q = nib.Nifti1Image(np.stack([labels.transpose(), 9 - labels.transpose()], -1).astype(">i2"), None, nib.Nifti1Header(endianness=">"))
rotation = np.diag([1.5, -2.0, 3.0, 1])
rotation[:3, 3] = (1, 2, 3)
q.header.set_qform(rotation, 1)
q.header.set_sform(None, 0)
nib.save(q, "imaging_frames.nii")

# Resampling onto a grid that is turned and shifted, and reaches beyond.
source, target = np.diag([2.0, 1.0, 3.0, 1]), np.array([[1.3, 0.2, 0.1, -0.713], [-0.1, 0.9, 0.2, 0.417], [0.3, -0.2, 2.1, 0.231], [0, 0, 0, 1]])
r["target"], extent = target[:3], (8, 7, 10)
zyx = np.stack(np.meshgrid(*map(np.arange, extent), indexing="ij"), -1)
places = (np.linalg.inv(source) @ target @ np.concatenate([zyx[..., ::-1], np.ones(extent)[..., None]], -1)[..., None])[..., :3, 0][..., ::-1]
places = np.moveaxis(places, -1, 0)
last = np.array(x.shape).reshape(3, 1, 1, 1) - 1
inside = np.all((places >= -0.5) & (places <= last + 0.5), axis=0)
held = np.clip(places, 0, last)
for name, order in ("nearest", 0), ("linear", 1), ("cubic", 3):
    values = ndi.map_coordinates(x.astype(np.float64), held if order else np.floor(held + 0.5), order=order, mode="mirror")
    r[name] = np.where(inside, values, -7)
shares = np.stack([ndi.map_coordinates((labels == k).astype(np.float64), held, order=1, mode="nearest") for k in range(4)])
r["resampled_labels"] = np.where(inside, np.argmax(np.round(shares, 8), 0), 8).astype(np.int32)
r["resized"] = resize(x.astype(np.float64), (3, 5, 13), order=1, mode="edge", anti_aliasing=True)
r["blurred"] = ndi.gaussian_filter(x.astype(np.float64), (0.3, 1.1, 0.6), mode="nearest")

mask = (x > 0.35).astype(np.uint8)
for name, structure in ("faces", ndi.generate_binary_structure(3, 1)), ("corners", np.ones((3, 3, 3))):
    parts, n = ndi.label(mask, structure)
    r["component_" + name] = (parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])).astype(np.uint8)
    print(name, n, "parts, sizes", sorted(np.bincount(parts.ravel())[1:])[-3:])
r["mask"] = mask
r["z_scored"] = (x.astype(np.float64) - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
inner = x[mask > 0].astype(np.float64)
r["z_scored_mask"] = np.where(mask > 0, (x.astype(np.float64) - inner.mean()) / inner.std(), 0)
np.savez_compressed("imaging.npz", **{k: np.ascontiguousarray(v) for k, v in r.items()})
