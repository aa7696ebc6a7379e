"""Columns are found by name, then by content, and never silently where it could be another."""

import pytest

from seqrec_plugin.errors import BadData
from seqrec_plugin.preparing import reading
from seqrec_plugin.preparing.source import Source


def _found(read, header, *rows):
    found = read("\n".join([header, *rows]))
    source = found.source
    return source.user, source.item, source.time, source.behavior


ROW = "u1,i9,pv,1511539200"


@pytest.mark.parametrize(
    "header",
    [
        "user_id,item_id,behavior,timestamp",
        "userId,productId,eventType,eventTime",
        "用户ID,商品编号,行为类型,时间戳",
        "买家,宝贝,操作,下单时间",
        "ユーザーID,商品コード,行動,日時",
        "Kunde,Artikel,Aktion,Zeitstempel",
        "client_id,produit,action,horodatage",
        "visitor,sku,event,created_at",
        "user_id:token,item_id:token,behavior:token,timestamp:float",
        "buyer_user_id,shop_item_id,user_action,pay_time",
    ],
)
def test_names_of_the_world(read, header):
    user, item, behavior, time = header.split(",")
    assert _found(read, header, ROW) == (user, item, time, behavior)


def test_a_better_name_wins_over_a_weak_one(read):
    found = read("session_id,user_id,item_id,date,timestamp\ns,u,i,2017-11-24,1511539200\n").source
    assert (found.user, found.time) == ("user_id", "timestamp")


def test_several_that_could_be_it_are_an_error_that_names_them(read):
    with pytest.raises(BadData, match=r"the item could be 'item_id' or 'product_id'") as error:
        read("user,item_id,product_id,time\nu,a,b,1511539200\n")
    assert "--item item_id" in error.value.hint


def test_a_column_that_is_named_is_not_asked_about(read):
    assert read("user,item_id,product_id,time\nu,a,b,1511539200\n", item="product_id").source.item == "product_id"


def test_time_is_found_by_content(read):
    for value in ("1511539200", "2017-11-24 16:00:00"):
        assert _found(read, "user,item,x", f"u,i,{value}")[2] == "x"


def test_behaviours_are_found_by_content(read):
    assert _found(read, "user,item,what,time", "u,i,加购,1511539200", "u,j,点击,1511539201")[3] == "what"
    assert _found(read, "user,item,what,time", "u,i,red,1511539200")[3] is None


def test_the_last_column_of_ids_is_the_one_that_is_missing(read):
    found = read("user,thing,time\nu,i,1511539200\n")
    assert found.source.item == "thing"
    assert next(guess.why for guess in found.guesses if guess.role == "item").startswith("no other column")


def test_what_nothing_looks_like_is_an_error_with_the_columns_and_the_option(read):
    with pytest.raises(BadData, match="none of the columns 'a', 'b', 'time' looks like the user") as error:
        read("a,b,time\nu,i,1511539200\n")
    assert "--user" in error.value.hint
    with pytest.raises(BadData, match="looks like the time") as error:
        read("user,item,x\nu,i,red\n")
    assert "time: null" in error.value.hint


def test_a_name_that_is_not_there_gives_the_nearest(read):
    with pytest.raises(BadData, match=r"has no column 'usr_id' \(--user\)\. Did you mean 'user_id'\?") as error:
        read("user_id,item,time\nu,i,1511539200\n", user="usr_id")
    assert error.value.exit_code == 3
    with pytest.raises(BadData, match="both user and item"):
        read("user_id,item,time\nu,i,1511539200\n", user="item", item="item")


def test_a_column_of_that_name_but_of_no_such_content_is_told(read):
    with pytest.raises(BadData, match="'timestamp' has times of no form that is known, such as 'noon'"):
        read("user,item,timestamp\nu,i,noon\n")
    with pytest.raises(BadData, match="'item' is empty in every row"):
        read("user,item,time\nu,,1511539200\n")


def test_value_and_features_are_found_by_name(read):
    header = "user,item,time,price,quantity,category,商品标题,colour"
    found = read(f"{header}\nu,i,1511539200,9.5,2,c,t,red\nu,j,1511539200,x,,c,,red\n")
    assert (found.source.numbers, found.source.features) == (("price", "quantity"), ("category", "商品标题"))
    assert read.events("number_0, number_1, feature_0, feature_1") == [(9.5, 2.0, "c", "t"), (None, None, "c", None)]
    assert any("'price' holds no number that can be read in 1 rows" in warning for warning in found.warnings)
    assert any("'quantity' is empty in 1 rows" in warning for warning in found.warnings)
    none = read(f"{header}\nu,i,1511539200,9.5,2,c,t,red\n", numbers=(), features=()).source
    assert (none.numbers, none.features) == ((), ())


def test_decimal_commas_of_a_file_with_semicolons(read):
    read("user;item;time;preis\nu;i;1511539200;3,50\nu;j;1511539201;12\n")
    assert read.events("number_0") == [(3.5,), (12.0,)]


def test_a_file_without_header(read):
    with pytest.raises(BadData, match="names no columns") as error:
        read("u,i,1511539200\n")
    assert "--columns" in error.value.hint
    found = read("1,2,3,pv,1511539200\n", columns=("user", "item", "category", "behavior", "time"))
    assert (read.events(), found.source.header) == ([("1", "2", 1511539200000000)], False)
    with pytest.raises(BadData, match="has 3 columns, but 2 are named: user, item"):
        read("u,i,1511539200\n", columns=("user", "item"))


def test_a_header_that_looks_like_values_can_be_said_to_be_one(read):
    assert read("user,item,2017\nu,i,1511539200\n", header=True, time="2017").events == 1


def test_columns_named_in_a_file_that_has_a_header_are_not_read_as_a_row(read):
    found = read("user,item,time\nu,i,1511539200\n", columns=("a", "b", "c"))
    assert (found.events, found.source.header) == (1, True)


def test_columns_that_are_not_used_are_told_and_a_name_alone_is_the_items(read):
    path = read.file("user,user_name,item,time,name,comment\nu,Ann,i,1511539200,Pear,good\n")
    told = []
    found = reading.read(read.connection, [path], Source(), told.append)
    assert found.source.features == ("name",)
    assert "not used: user_name, comment" in told
    assert "Columns that are not used: user_name, comment." in found.warnings
    assert not any("not used" in warning for warning in read("user,item,time\nu,i,1511539200\n").warnings)


def test_a_comma_before_three_digits_alone_is_no_decimal_comma(read):
    """1,234 is a thousand to some and a fraction to others: told as unreadable, never 1.234 in silence."""
    rows = 'a,x,1511539200,"1,234"\nb,y,1511539201,"2,500"\na,y,1511539202,900\n'
    found = read(f"user,item,time,price\n{rows}")
    assert read.events("number_0") == [(None,), (None,), (900.0,)]
    assert any("price" in warning for warning in found.warnings)
