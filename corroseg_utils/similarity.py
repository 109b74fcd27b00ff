"""How alike two pictures are: two photos, or a photo and its mask. NumPy and OpenCV.

Two photos show one scene when many keypoints of one lie in the other as a homography (a plane seen from elsewhere)
predicts: SIFT keypoints, the ratio test, then RANSAC (D. Lowe, "Distinctive Image Features from Scale-Invariant
Keypoints", IJCV 60, 2004). It bears another exposure, crop, colour or viewpoint, and mirroring. Local contrast is
evened out first (CLAHE), so that dark, smooth photos have keypoints too.
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

SIDE = 256  # photos are squeezed to this width and height, pixels
KEYPOINTS = 200  # at most, for each photo
PRESELECTING = 64  # of these, the strongest find the candidates
CANDIDATES = 3  # training photos compared with each test photo, and with its mirror image
ALIKE = 15  # agreeing keypoints from which two photos show one scene, see `most_alike`
LEAST_SPREAD = 0.1  # share of the picture that agreeing keypoints must span: a printed marker or a date stamp does not
PAIRED = 0.6  # least correlation of photo and mask; augment_pair leaves 0.79 or more, strangers reach 0.24

# Where each of the 4 x 4 x 8 values of a SIFT descriptor goes when the photo is mirrored: its rows are turned over,
# because they follow the keypoint's direction, and so are its 8 directions.
MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


def keypoints(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SIFT keypoints of a photo (H, W) or (H, W, C) in any value range, the strongest first.

    Returns:
        Places (x, y) float32 (K, 2) in [0, 256), and unit descriptors float32 (K, 128), K at most 200.
    """
    photo = np.asarray(photo, dtype=np.float32)
    grey = photo.mean(axis=-1) if photo.ndim == 3 else photo
    if grey.ndim != 2 or min(grey.shape) < 16:
        raise ValueError(f"shape {photo.shape} is no photo of 16 x 16 pixels or more: pass (H, W, 3) arrays")
    shrinks = min(grey.shape) > SIDE
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    grey = cv2.normalize(grey, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    grey = cv2.createCLAHE(clipLimit=2, tileGridSize=(4, 4)).apply(grey)
    found, vectors = cv2.SIFT_create(nfeatures=KEYPOINTS, contrastThreshold=0.01).detectAndCompute(grey, None)
    if vectors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    order = np.argsort([-point.response for point in found], kind="stable")[:KEYPOINTS]
    places = np.array([point.pt for point in found], np.float32)
    # Square roots of descriptors compare better (RootSIFT: Arandjelovic and Zisserman, CVPR 2012).
    vectors = np.sqrt(vectors / np.maximum(vectors.sum(axis=1, keepdims=True), 1e-6))
    return places[order], vectors[order].astype(np.float32)


def align(places: np.ndarray, vectors: np.ndarray, others: np.ndarray,
          other_vectors: np.ndarray) -> tuple[int, np.ndarray | None]:
    """The homography from the keypoints of one photo to those of another.

    Args:
        places, vectors: keypoints of one photo, see `keypoints`.
        others, other_vectors: those of the other photo.

    Returns:
        How many keypoints agree with it, and the matrix float64 (3, 3), which maps places in [0, 256) of the one photo
        to those of the other. 0 and None if fewer than ALIKE find a clear partner at all, or if those that agree span
        too little of a photo.
    """
    if min(len(vectors), len(other_vectors)) < ALIKE:
        return 0, None
    alike = vectors @ other_vectors.T
    nearest = alike.argmax(axis=1)
    second, first = np.sqrt(np.clip(2 - 2 * np.partition(alike, -2, axis=1)[:, -2:].T, 0, None))  # distances
    clear = first < 0.82 * second  # the ratio test
    places, others = places[clear], others[nearest[clear]]
    _, once = np.unique(others, axis=0, return_index=True)  # a repeated pattern maps many keypoints to one
    if len(once) < ALIKE:
        return 0, None
    places, others = places[once], others[once]
    homography, agrees = cv2.findHomography(places, others, cv2.RANSAC, ransacReprojThreshold=5, maxIters=1000)
    agrees = np.zeros(len(once), bool) if agrees is None else agrees.ravel() > 0
    if agrees.sum() < 4:
        return 0, None
    spread = min(np.prod(np.ptp(points[agrees], axis=0)) for points in (places, others)) / SIDE**2
    return (int(agrees.sum()), homography) if spread >= LEAST_SPREAD else (0, None)


def most_alike(train: Iterable[np.ndarray], test: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For each test photo the training photo that shares most of its keypoints, and how many agree.

    The 64 strongest keypoints choose three candidates, the homography decides (`align`), for the photo and its
    mirror image. 15 or more (ALIKE) mean one scene: photos of different rendered jobs reached 11. Of the 124 scenes
    among the 1,139 real photos (see `scenes`), the first photo of each was looked for among the other 1,015: 90 were
    found, one was mistaken (18 keypoints, for another place of the same tread plate). The 17 equally named photos of
    two sources scored 52 or more; other viewpoints and crops share fewer, and were missed. 500 photos take some 15 s of
    one CPU core.

    Returns:
        Indices int (N,) into `train`, and agreeing keypoints int (N,), for the N photos of `test`.
    """
    train, test = [keypoints(photo) for photo in train], [keypoints(photo) for photo in test]
    if not train or not test:
        raise ValueError("no photo to compare: the set is empty")
    strongest = [vectors[:PRESELECTING] for _, vectors in train]
    owners = np.repeat(np.arange(len(train)), [len(vectors) for vectors in strongest])
    strongest = np.concatenate(strongest)
    best, counts = np.zeros(len(test), int), np.zeros(len(test), int)
    for i, (places, vectors) in enumerate(test):
        for seen in (vectors, vectors[:, MIRRORED]):
            for j in _candidates(seen[:PRESELECTING], strongest, owners, len(train)):
                count, _ = align(places, seen, *train[j])
                if count > counts[i]:
                    best[i], counts[i] = j, count
    return best, counts


def _candidates(vectors: np.ndarray, strongest: np.ndarray, owners: np.ndarray, photos: int) -> Sequence[int]:
    """The photos that most of `vectors` (K, 128) vote for, by keypoints `strongest` (M, 128) of photos `owners` (M,).

    A keypoint has one vote, divided among all photos that hold its like.
    """
    keypoint, match = np.nonzero(vectors @ strongest.T > 0.9)
    pairs = np.unique(keypoint * photos + owners[match])
    keypoint, photo = pairs // photos, pairs % photos
    votes = np.bincount(photo, 1 / np.bincount(keypoint, minlength=1)[keypoint], minlength=photos)
    return [j for j in np.argsort(-votes, kind="stable")[:CANDIDATES] if votes[j] > 0]


def shows_mask(photo: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a photo (H, W, C) that was made from a mask shows this one: correlated, or both of one colour.

    The mask is (H, W) class indices, or (H, W, C) one-hot or RGB; the value ranges do not matter.
    """
    grey = photo.mean(axis=-1)
    if mask.ndim == 3:
        mask = mask[..., min(1, mask.shape[-1] - 1)]  # class 1 of a one-hot mask, green of an RGB mask
    if grey.shape != mask.shape:
        raise ValueError(f"photo {grey.shape} and mask {mask.shape} differ in size: resize both in the pipeline")
    if np.ptp(grey) == 0 or np.ptp(mask) == 0:
        return bool(np.ptp(grey) == np.ptp(mask))
    return bool(np.corrcoef(grey.ravel(), mask.ravel())[0, 1] > PAIRED)
