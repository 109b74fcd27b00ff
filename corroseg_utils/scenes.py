"""Photos of one scene in the real photo collection: found once, listed here, and joined by `folds`.

The collection's manifest lists each photo as a group of its own, yet it holds copies (the sources `cis` and `web` share
photos; `_jpg` and `_png` of one name), and series of one object taken minutes apart. They were found in three steps:

1. Candidates among all 648,091 pairs, within and across the sources: equal file-name stems, neighbouring numbers,
   correlated thumbnails, and the most SIFT keypoints in common, for the photo and its mirror image.
2. A homography between the SIFT keypoints of both (256 x 256 pixels, local contrast evened out).
3. A look at the pairs in which 8 or more keypoints agree over a tenth of the picture, and at all neighbouring numbers
   with 8. The printed markers on many `cis` photos, watermarks and date stamps agree too, and joined nothing.

Not joined: different places of one bridge or walkway. Nor is the list proof: a scene seen from the other side has few
keypoints in common.
"""

# One scene a line, groups as `dataset.read_manifest` names them.
SCENES = """
virginia_tech/7 virginia_tech/8
virginia_tech/13 virginia_tech/14
virginia_tech/35 virginia_tech/36
virginia_tech/44 virginia_tech/45
virginia_tech/46 virginia_tech/47
virginia_tech/49 virginia_tech/50
virginia_tech/69 virginia_tech/71 virginia_tech/74
virginia_tech/102 virginia_tech/103
virginia_tech/114 virginia_tech/115 virginia_tech/116
virginia_tech/119 virginia_tech/120 virginia_tech/124
virginia_tech/125 virginia_tech/126
virginia_tech/139 virginia_tech/140
virginia_tech/165 virginia_tech/166
virginia_tech/181 virginia_tech/182 virginia_tech/183 virginia_tech/184 virginia_tech/185
virginia_tech/195 virginia_tech/197
virginia_tech/214 virginia_tech/215
cis/000145_jpg cis/000145_png
cis/000356_jpg cis/000356_png
cis/000387_jpg cis/000387_png cis/rust-108_jpg
cis/000434_jpg cis/000434_png
cis/01050_JPG_jpg cis/01051_JPG_jpg
cis/0133_jpg cis/0134_jpg cis/0135_jpg
cis/0137_jpg cis/0148_jpg cis/0149_jpg
cis/0140_jpg cis/0213_jpg cis/0214_jpg cis/0215_jpg
cis/014_jpg cis/015_jpg
cis/0155_jpg cis/0156_jpg cis/0157_jpg
cis/0166_jpg cis/033_jpg
cis/0173_jpg cis/0329_jpg
cis/0175_jpg cis/0176_jpg cis/0177_jpg
cis/0178_jpg cis/0180_jpg
cis/0224_jpg cis/0225_jpg
cis/0243_jpg cis/0244_jpg
cis/0264_jpg cis/0265_jpg cis/0266_jpg
cis/0282_jpg cis/0283_jpg cis/0284_jpg
cis/0286_jpg cis/0288_jpg
cis/0303_jpg cis/0305_jpg cis/0307_jpg cis/0308_jpg
cis/0315_jpg cis/0318_jpg
cis/0332_jpg cis/0333_jpg cis/0335_jpg
cis/0336_jpg cis/0337_jpg
cis/0338_jpg cis/0341_jpg cis/0342_jpg cis/0344_jpg cis/0345_jpg
cis/0349_jpg cis/0351_jpg
cis/0353_jpg cis/0354_jpg cis/0355_jpg cis/0356_jpg cis/0357_jpg
cis/0362_jpg cis/0363_jpg cis/0364_jpg cis/0365_jpg cis/0368_jpg cis/0369_jpg cis/0371_jpg cis/0373_jpg
cis/036_jpg cis/037_jpg
cis/0390_jpg cis/0391_jpg
cis/0393_jpg cis/0499_jpg
cis/0403_jpg cis/0404_jpg cis/0405_jpg cis/0406_jpg
cis/0412_jpg cis/0413_jpg cis/0416_jpg
cis/0419_jpg cis/0420_jpg
cis/0429_jpg cis/0431_jpg
cis/0434_jpg cis/0435_jpg
cis/0446_jpg cis/0447_jpg
cis/0480_jpg cis/0481_jpg cis/0482_jpg
cis/0484_jpg cis/0486_jpg
cis/0489_jpg cis/0490_jpg
cis/0506_jpg cis/0508_jpg cis/0509_jpg cis/0542_jpg
cis/0529_jpg cis/0536_jpg cis/0537_jpg cis/0538_jpg
cis/0546_jpg cis/0547_jpg cis/0548_jpg cis/0549_jpg
cis/0572_jpg cis/0573_jpg
cis/057_jpg cis/058_jpg cis/059_jpg cis/060_jpg
cis/0587_jpg cis/0589_jpg
cis/0605_jpg cis/0606_jpg cis/0607_jpg
cis/0619_jpg cis/0622_jpg
cis/0627_jpg cis/0628_jpg
cis/0629_jpg cis/0630_jpg cis/0631_jpg
cis/0633_jpg cis/0635_jpg
cis/0642_jpg cis/0644_jpg
cis/0667_jpg cis/0668_jpg cis/0669_jpg
cis/0671_jpg cis/0672_jpg
cis/0675_jpg cis/0676_jpg cis/0677_jpg cis/0679_jpg cis/0682_jpg cis/0683_jpg cis/0684_jpg cis/0690_jpg
cis/068_jpg cis/069_jpg
cis/0704_jpg cis/0705_jpg
cis/0708_jpg cis/0709_jpg cis/0710_jpg
cis/0712_jpg cis/0713_jpg
cis/074_jpg cis/075_jpg
cis/0754_jpg cis/0755_jpg
cis/0790_JPG_jpg cis/Captura-de-Tela-2023-01-25-a-s-10-33-07_png_jpg
cis/0799_JPG_jpg cis/0800_JPG_jpg cis/0809_JPG_jpg cis/0810_JPG_jpg cis/0811_JPG_jpg
cis/0802_JPG_jpg cis/0803_JPG_jpg
cis/0805_JPG_jpg cis/0807_JPG_jpg
cis/081_jpg cis/083_jpg
cis/0829_JPG_jpg cis/0830_JPG_jpg
cis/0854_JPG_jpg cis/0856_JPG_jpg
cis/085_jpg cis/086_jpg
cis/0887_JPG_jpg cis/0888_JPG_jpg
cis/0982_JPG_jpg cis/0983_JPG_jpg
cis/10_jpg cis/10_png
cis/3_jpg cis/3_png
cis/B004_jpg cis/B006_jpg
cis/B012_jpg cis/B120_jpg
cis/CL12_jpg cis/CL12_png
cis/CL16_jpg cis/CL16_png
cis/CL19_jpg cis/CL19_png
cis/CL8_jpg cis/CL8_png
cis/CM35_jpg cis/CM35_png
cis/CM36_jpg cis/CM36_png
cis/CS7_png web/img124_jpg
cis/Captura-de-Tela-2023-01-12-a-s-10-21-15_png_jpg cis/Captura-de-Tela-2023-01-12-a-s-10-22-15_png_jpg
cis/Captura-de-Tela-2023-01-13-a-s-14-44-29_png_jpg cis/Captura-de-Tela-2023-01-13-a-s-14-44-36_png_jpg
cis/Captura-de-Tela-2023-01-25-a-s-18-23-06_png_jpg cis/Captura-de-Tela-2023-01-25-a-s-18-23-13_png_jpg
cis/Captura-de-Tela-2023-01-25-a-s-18-26-39_png_jpg cis/Captura-de-Tela-2023-01-25-a-s-18-26-47_png_jpg
cis/Captura-de-Tela-2023-01-25-a-s-18-29-51_png_jpg cis/Captura-de-Tela-2023-01-25-a-s-18-30-04_png_jpg
cis/GEN_101_jpg cis/GEN_101_png
cis/GEN_128_jpg cis/GEN_128_png
cis/GEN_59_jpg cis/GEN_59_png
cis/L29_jpg web/img229_jpg
cis/L33_jpg web/img16_jpg
cis/img101_jpg web/img101_jpg
cis/img102_jpg web/img102_jpg
cis/img106_jpg web/img106_jpg
cis/img111_jpg web/img111_jpg
cis/img115_jpg web/img115_jpg
cis/img119_jpg web/img119_jpg
cis/img121_jpg web/img121_jpg
cis/img129_jpg web/img129_jpg
cis/img132_jpg web/img132_jpg
cis/img134_jpg web/img134_jpg
cis/img137_jpg web/img137_jpg
cis/img13_jpg web/img13_jpg
cis/img143_jpg web/img143_jpg
cis/img152_jpg web/img152_jpg
cis/img158_jpg web/img158_jpg
cis/img173_jpg web/img173_jpg
cis/img223_jpg web/img223_jpg
"""

# Group -> the group that stands for its scene, for all groups but that one.
SAME_SCENE = {group: first for first, *others in map(str.split, SCENES.strip().splitlines()) for group in others}
