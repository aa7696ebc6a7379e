"""A few lines in the form of each public data set."""

import pytest

from seqrec_plugin.errors import BadData, WrongUsage
from seqrec_plugin.preparing import formats, opening, reading

LINES = {
    ("movielens", "ratings.dat"): "1::1193::5::978300760\n2::661::3.5::978302109\n",
    ("movielens", "u.data"): "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
    ("movielens", "ratings.csv"): "userId,movieId,rating,timestamp\r\n1,307,3.5,1256677221\r\n1,481,3.5,1256677456\r\n",
    (
        "amazon",
        "ratings_Books.csv",
    ): "AH2L9G3DQHHAJ,0000000116,4.0,1019865600\nA2IIIDRK3PRRZY,0000000116,1.0,1395619200\n",
    ("amazon", "Books.csv"): "0001713353,A1REUF3A1YCPHM,5.0,1112140800\n0001061240,AH2L9G3DQHHAJ,4.0,1019865600\n",
    (
        "amazon",
        "All_Beauty.csv",
    ): "user_id,parent_asin,rating,timestamp\nAGKHLEW2SOWHNMFQIJGBECAF7INQ,B00YQ6X8EO,5.0,1588687728923\n"
    "AGKHLEW2SOWHNMFQIJGBECAF7INQ,B081TJ8YS3,4.0,1588615855070\n",
    (
        "amazon",
        "reviews_Books_5.json",
    ): '{"reviewerID": "A10000012B7CGYKOMPQ4L", "asin": "000100039X", "helpful": [0, 0], '
    '"reviewText": "Spiritually\\nuplifting", "overall": 5.0, "unixReviewTime": 1355616000}\n'
    '{"reviewerID": "A2S166WSCFIFP5", "asin": "000100039X", "overall": 5.0, "unixReviewTime": 1071100800}\n',
    ("amazon", "All_Beauty.jsonl"): '{"rating": 5.0, "title": "t", "images": [], "asin": "B00YQ6X8EO", "parent_asin": '
    '"B00YQ6X8EO", "user_id": "AGKH", "timestamp": 1588687728923}\n'
    '{"rating": 1.0, "title": "t", "parent_asin": "B0", "user_id": "AGKH", "timestamp": 1588687728924}\n',
    (
        "retailrocket",
        "events.csv",
    ): "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n"
    "1433224214164,992329,transaction,248676,4000\n",
    (
        "yoochoose",
        "yoochoose-clicks.dat",
    ): "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n",
    ("yoochoose", "yoochoose-buys.dat"): "420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n"
    "420374,2014-04-06T18:44:58.325Z,214537850,10471,1\n",
    ("tmall", "user_log_format1.csv"): "user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type\n"
    "328862,323294,833,2882,2661,0829,0\n328862,844400,1271,2882,2661,1111,2\n",
    (
        "steam",
        "steam_reviews.json",
    ): '{"username": "Chaos Syren", "hours": 0.1, "product_id": "725280", "date": "2017-12-17", '
    '"text": "a \\"b\\""}\n{"username": "₮ʜᴇ", "hours": 51.1, "product_id": "725280", "date": "2017-12-18"}\n',
    ("taobao", "UserBehavior.csv"): "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,fav,1511561733\n",
}
FIRST = {
    "ratings.dat": ("1", "1193", 978300760000000, 5.0),
    "u.data": ("196", "242", 881250949000000, 3.0),
    "ratings.csv": ("1", "307", 1256677221000000, 3.5),
    "ratings_Books.csv": ("AH2L9G3DQHHAJ", "0000000116", 1019865600000000, 4.0),
    "Books.csv": ("A1REUF3A1YCPHM", "0001713353", 1112140800000000, 5.0),
    "All_Beauty.csv": ("AGKHLEW2SOWHNMFQIJGBECAF7INQ", "B00YQ6X8EO", 1588687728923000, 5.0),
    "reviews_Books_5.json": ("A10000012B7CGYKOMPQ4L", "000100039X", 1355616000000000, 5.0),
    "All_Beauty.jsonl": ("AGKH", "B00YQ6X8EO", 1588687728923000, 5.0),
    "events.csv": ("257597", "355908", 1433221332117000, "view"),
    "yoochoose-clicks.dat": ("1", "214536502", 1396867869277000),
    "yoochoose-buys.dat": ("420374", "214537888", 1396809898314000, 12462.0),
    "user_log_format1.csv": ("328862", "323294", 829, "0"),
    "steam_reviews.json": ("Chaos Syren", "725280", 1513468800000000),
    "UserBehavior.csv": ("1", "2268318", 1511544070000000, "pv"),
}


@pytest.mark.parametrize(("name", "file"), LINES)
def test_each_format_is_read(read, name, file):
    path = read.file(LINES[name, file], file)
    source = formats.source(name, [path])
    found = reading.read(read.connection, opening.files([path]), source)
    assert (found.events, found.rejected) == (2, 0)
    rest = "behavior" if source.behavior else "number_0" if source.numbers else ""
    assert read.events("user, item, time" + (f", {rest}" if rest else ""))[0] == FIRST[file]
    assert not {guess.role for guess in found.guesses} & {"user", "item", "time", "behavior", "delimiter"}
    if source.behavior:
        codes = {code for (code,) in read.events("behavior")}
        assert codes <= set(formats.behaviors(name))


def test_every_format_has_lines_for_each_of_its_forms():
    assert {name: sum(1 for each, _ in LINES if each == name) for name in formats.FORMATS} == {
        name: len(known.variants) for name, known in formats.FORMATS.items()
    }


def test_a_file_of_another_form_is_refused_with_the_forms_there_are(read):
    path = read.file("1,2,3\n")
    with pytest.raises(BadData, match=r"begins with '1,2,3', unlike movielens's ratings\.csv"):
        formats.source("movielens", [path])


def test_steams_python_literals_are_refused_with_what_to_do(read):
    path = read.file("{u'username': u'Chaos Syren', u'product_id': u'725280', u'date': u'2017-12-17'}\n", "steam.json")
    with pytest.raises(BadData, match=r"Python literals, not JSON.*ast\.literal_eval"):
        formats.source("steam", [path])
    with pytest.raises(BadData, match="Python literals"):
        read.files([path])


def test_a_format_that_is_none():
    with pytest.raises(WrongUsage, match="Did you mean 'movielens'"):
        formats.source("movielense")
