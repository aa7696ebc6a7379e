from mingru4rec import MinGRU4Rec

from seqrec_plugin.testing import ModelContract


class TestMinGRU4Rec(ModelContract):
    def build(self):
        return MinGRU4Rec(MinGRU4Rec.Config(embedding_size=8), n_items=30)
