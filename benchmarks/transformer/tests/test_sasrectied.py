from sasrectied import SASRecTied

from seqrec_plugin.testing import ModelContract


class TestSASRecTied(ModelContract):
    def build(self):
        return SASRecTied(SASRecTied.Config(embedding_size=8, num_heads=2, max_positions=20), n_items=30)
