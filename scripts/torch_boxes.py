"""The book's loops over anchors and boxes in PyTorch, to be timed beside ours."""

from __future__ import annotations

import torch


def to_center(boxes):
    """Turn corners into centre and size."""
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


def iou(boxes1, boxes2):
    """Return the overlap of each pair."""
    area1, area2 = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes1, boxes2))
    upper = torch.max(boxes1[:, None, :2], boxes2[:, :2])
    lower = torch.min(boxes1[:, None, 2:], boxes2[:, 2:])
    sides = (lower - upper).clamp(min=0)
    shared = sides[:, :, 0] * sides[:, :, 1]
    return shared / (area1[:, None] + area2 - shared)


def assign(objects, anchors, threshold=0.5):
    """Give each anchor an object or -1, the objects one after the other."""
    overlap = iou(anchors, objects)
    own = torch.full((len(anchors),), -1, dtype=torch.long)
    most, which = overlap.max(dim=1)
    own[most >= threshold] = which[most >= threshold]
    for _ in range(len(objects)):
        anchor, number = divmod(int(overlap.argmax()), len(objects))
        own[anchor] = number
        overlap[:, number] = -1
        overlap[anchor] = -1
    return own


def multibox_target(anchors, labels):
    """Return offsets, mask and classes, one picture after the other."""
    anchors, rows = anchors.squeeze(0), []
    a = to_center(anchors)
    for label in labels:
        own = assign(label[:, 1:], anchors)
        mask = (own >= 0).float()[:, None].repeat(1, 4)
        classes = torch.zeros(len(anchors), dtype=torch.long)
        boxes = torch.zeros(len(anchors), 4)
        hit = torch.nonzero(own >= 0)
        classes[hit] = label[own[hit], 0].long() + 1
        boxes[hit] = label[own[hit], 1:]
        b = to_center(boxes)
        xy = 10 * (b[:, :2] - a[:, :2]) / a[:, 2:]
        wh = 5 * torch.log(1e-6 + b[:, 2:] / a[:, 2:])
        rows.append(((torch.cat([xy, wh], 1) * mask).reshape(-1), mask.reshape(-1), classes))
    return tuple(map(torch.stack, zip(*rows, strict=True)))


def nms(boxes, scores, threshold):
    """Return the boxes that stay, one after the other."""
    left, keep = scores.argsort(descending=True, stable=True), []
    while left.numel():
        best = left[0]
        keep.append(best)
        if left.numel() == 1:
            break
        overlap = iou(boxes[best].reshape(-1, 4), boxes[left[1:]]).reshape(-1)
        left = left[torch.nonzero(overlap <= threshold).reshape(-1) + 1]
    return torch.stack(keep)


def multibox_detection(probs, offsets, anchors, nms_threshold=0.5, pos_threshold=0.009999999):
    """Return class, confidence and corners of all boxes, one picture after the other."""
    anchors, out = to_center(anchors.squeeze(0)), []
    for p, o in zip(probs, offsets, strict=True):
        o = o.reshape(-1, 4)
        confidence, kind = p[1:].max(dim=0)
        xy = o[:, :2] * anchors[:, 2:] / 10 + anchors[:, :2]
        wh = torch.exp(o[:, 2:] / 5) * anchors[:, 2:]
        boxes = torch.cat([xy - wh / 2, xy + wh / 2], 1)
        keep = nms(boxes, confidence, nms_threshold)
        places, counts = torch.cat([keep, torch.arange(len(anchors))]).unique(return_counts=True)
        rest = places[counts == 1]
        kind[rest] = -1
        order = torch.cat([keep, rest])
        kind, confidence, boxes = kind[order], confidence[order], boxes[order]
        low = confidence < pos_threshold
        kind[low] = -1
        confidence[low] = 1 - confidence[low]
        out.append(torch.cat([kind[:, None], confidence[:, None], boxes], 1))
    return torch.stack(out)
