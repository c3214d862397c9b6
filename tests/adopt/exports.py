"""Small exports of known content, as shops have them."""

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Currency,Created at,Lineitem quantity,Lineitem name,Lineitem price,\
Lineitem sku,Cancelled at,Vendor
#1001,a@x.com,paid,,EUR,2024-05-01 10:00:00 +0100,2,Green tea,5.00,T1,,Leaf
#1001,,,,,,1,Pot,20.00,P1,,Clay
#1001,,,,,,1,Standard shipping,4.90,SHIP,,
#1002,b@x.com,refunded,,EUR,2024-05-02 10:00:00 +0100,1,Pot,20.00,P1,,Clay
#1002,,,,,,1,Cup,3.00,C1,,Clay
#1003,,paid,,EUR,2024-05-03 10:00:00 +0100,1,Cup,3.00,C1,,Clay
#1004,c@x.com,paid,,EUR,2024-05-04 10:00:00 +0100,1,Gift card - 50 €,50.00,GIFT,,
#1004,,,,,,1,Gift card holder,9.00,H1,,Clay
#1005,a@x.com,paid,,EUR,2024-05-05 10:00:00 +0100,1,Cup,3.00,C1,2024-05-06 10:00:00 +0100,Clay
#1005,,,,,,1,Sample,0.00,S1,,Leaf
#1006,c@x.com,partially_refunded,,EUR,2024-05-07 10:00:00 +0100,1,Sample,0.00,S1,,Leaf
#1006,,,,,,3,Green tea,5.50,T1,,Leaf
"""
"""12 rows: 2 + 2 of a refunded and a cancelled order, 1 of a guest, 1 postage, 1 gift card, 1 free sample; T1
and P1 of a, H1 and T1 of c are left."""

WOOCOMMERCE = """\
order_id,status,date_created,customer_id,billing_email,item_name,sku,quantity,item_total,item_price,category
1,wc-completed,2024-05-01 10:00:00,7,a@x.com,Green tea,T1,2,10.00,5.00,Tea
1,wc-completed,2024-05-01 10:00:00,7,a@x.com,Versandkosten,V,1,4.90,4.90,
2,wc-cancelled,2024-05-02 10:00:00,0,b@x.com,Pot,P1,1,20.00,20.00,Pots
3,wc-processing,2024-05-03 10:00:00,0,b@x.com,Pot,P1,1,20.00,20.00,Pots
4,wc-refunded,2024-05-04 10:00:00,8,,Pot,P1,1,20.00,20.00,Pots
5,wc-completed,2024-05-05 10:00:00,8,,Green tea,T1,-1,-5.00,5.00,Tea
"""

GA4 = """\
event_date,event_timestamp,event_name,user_pseudo_id,user_id,ga_session_id,item_id,item_name,item_category,price,quantity
20240501,1714557600000000,session_start,1.1,,9,,,,,
20240501,1714557601000000,view_item,1.1,,9,T1,Green tea,Tea,5,1
20240501,1714557602000000,add_to_cart,1.1,,9,T1,Green tea,Tea,5,1
20240501,1714557603000000,purchase,1.1,,9,T1,Green tea,Tea,5,2
20240501,1714557604000000,scroll,2.2,,10,,,,,
20240501,1714557605000000,view_item,2.2,,10,P1,Pot,Pots,20,1
"""

SEGMENT = """\
anonymousId,userId,event,timestamp,properties.product_id,properties.name,properties.price,properties.quantity
x-1,,Product Viewed,2024-05-01T10:00:00.000Z,T1,Green tea,5,
x-1,,Product Added,2024-05-01T10:01:00.000Z,T1,Green tea,5,1
x-1,u1,Order Completed,2024-05-01T10:02:00.000Z,T1,Green tea,5,1
x-2,,Signed Up,2024-05-01T10:03:00.000Z,,,,
"""

MATOMO = """\
visitorId,idVisit,serverTimePretty,actionType,productSku,productName,productPrice
v1,1,"May 1, 2024 10:00:00",action,T1,Green tea,5.0
v1,1,"May 1, 2024 10:01:00",ecommerceOrder,T1,Green tea,5.0
v2,2,"May 2, 2024 10:00:00",outlink,,,
"""

LOG = """\
Kundennummer;Artikelnummer;Bezeichnung;Datum;Menge;Einzelpreis
17;A1;Tür, groß;03.04.2024 15:30;1;1.234,50
17;A2;Bett;13.04.2024 9:05;2;12,00
18;A1;Tür, groß;14.04.2024 9:05;1;999,99
"""
