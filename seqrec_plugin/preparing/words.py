"""What the columns of event logs are called, in several languages."""

from __future__ import annotations

import re

#: Role → names that mean it: a clear word, or one that may mean something else as well. Lower case, no separators.
_CLEAR = {
    "user": """
        user userid uid userno usercode customer customerid customerno customernumber member memberid memberno
        buyer buyerid shopper shopperid reviewer reviewerid client clientid 用户 用户名 会员 买家 顾客 客户
        ユーザー ユーザ 顧客 会員 사용자 회원 고객 usuario cliente utilisateur benutzer nutzer kunde kundennummer
        kundennr пользователь клиент utente usuário người_dùng""",
    "item": """
        item itemid iid itemno itemcode product productid productno productcode sku skuid asin goods goodsid movie
        movieid song songid track trackid book bookid isbn article articleid video videoid app appid game gameid
        商品 物品 产品 宝贝 货品 货号 商品コード アイテム 製品 상품 제품 품목 artículo articulo producto produit
        artikel artikelnummer artikelnr produkt товар prodotto produto item_sku""",
    "time": """
        time timestamp ts datetime eventtime eventtimestamp eventdatetime timems timestampms unixtime unixtimestamp
        unixreviewtime epoch clicktime actiontime visittime 时间 时间戳 发生时间 行为时间 操作时间 事件时间 日時
        時刻 時間 タイムスタンプ 시간 일시 fecha zeit zeitpunkt zeitstempel horodatage время fechahora datahora
        orario""",
    "behavior": """
        behavior behaviour behaviortype behaviourtype behaviorid event eventtype eventname action actiontype
        interaction interactiontype activity activitytype 行为 行为类型 用户行为 动作 操作 操作类型 事件 事件类型
        行動 イベント 행동 이벤트 comportamiento comportement aktion ereignis verhalten действие событие acción
        azione""",
    "value": """
        value rating score stars overall price amount quantity qty dwell dwelltime duration playtime hours revenue
        金额 价格 单价 数量 评分 时长 停留时间 停留时长 播放时长 金額 価格 値段 評価 가격 금액 평점 importe precio
        betrag preis menge prix montant quantité цена сумма рейтинг количество valor prezzo preço""",
    "feature": """
        category categoryid categoryname categorycode cat catid itemcategory itemcategoryid productcategory genre
        genres title itemtitle productname itemname brand brandid brandname seller sellerid shopid 类目 商品类目
        类别 品类 分类 标题 商品标题 商品名称 名称 品牌 店铺 卖家 カテゴリ カテゴリー ブランド タイトル 카테고리
        브랜드 categoría categoria marca título kategorie marke titel catégorie marque titre категория бренд
        название""",
}
_WEAK = {
    "user": "session sessionid visitor visitorid device deviceid username account accountid person personid cookieid",
    "item": "content contentid ad adid business businessid artist artistid creative news newsid page pageid poi poiid "
    "parentasin productname url",
    "time": "date day createdat created updatedat at eventdate reviewtime eventday 日期 날짜 日付 datum date_time data "
    "дата",
    "behavior": "type 类型 状态 target",
    "feature": "name",  # alone: a user_name is none of the item's
}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


_CLEAR_WORDS = {role: {_plain(word) for word in text.split()} for role, text in _CLEAR.items()}
_WEAK_WORDS = {role: {_plain(word) for word in text.split()} for role, text in _WEAK.items()}


def rank(name: str, role: str) -> int | None:
    """How well a column's name fits: 0 is one of the role's words, 1 ends with one, 2 a weak word; None not at all.

    The type of an atomic file's field (`user_id:token`) does not count, nor does a final `id`, 编号 or the like.
    """
    name = re.sub(r":(token|float)(_seq)?$", "", name.strip())
    plain = _plain(name)
    bare = re.sub(r"(id|编号|编码|番号|号码|번호|아이디|ид|号)$", "", plain)
    clear, weak = _CLEAR_WORDS[role], _WEAK_WORDS.get(role, set())
    if {plain, bare} & clear:
        return 0
    if {plain, bare} & weak:
        return 2
    if any({plain, bare} & _CLEAR_WORDS[other] for other in _CLEAR if other != role):
        return None
    # `buyer_user_id`, `itemCode`, 下单时间: the last word says what it is.
    parts = re.findall(r"[A-ZÀ-ÞА-Я]?[^\W\d_A-ZÀ-ÞА-Я]+|[A-ZÀ-ÞА-Я]+(?![a-z])", name)
    tail = [part.casefold() for part in parts]
    if len(tail) > 1 and tail[-1] in ("id", "code", "no", "key", "nr"):
        tail.pop()
    if len(tail) > 1 and tail[-1] in clear:
        return 1
    if not bare.isascii() and any(bare.endswith(word) for word in clear if not word.isascii()):
        return 1
    return None
